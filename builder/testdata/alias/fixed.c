// SPDX-License-Identifier: GPL-2.0-or-later
int cell;
__attribute__((noinline)) int real_name(int a) { cell += 2 * a; return cell; }
int other_name(int a) __attribute__((alias("real_name")));
int maybe(int a) __attribute__((weak));
__attribute__((noinline, weak)) int soft(int a) { return a ^ cell; }
__attribute__((noinline)) int use(int a) { return 3 * other_name(a) + soft(a) + (maybe ? maybe(a) : 0); }
int main(int argc, char **argv) { (void)argv; return use(argc) + real_name(argc); }
