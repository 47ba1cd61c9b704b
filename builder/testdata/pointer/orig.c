// SPDX-License-Identifier: GPL-2.0-or-later
typedef int (*callback)(int);
callback chosen;
__attribute__((noinline)) static int act(int a) { return a + 1; }
__attribute__((noinline)) static int stay(int a) { return a * 2; }
static callback const both[] = { act, stay };
__attribute__((noinline)) int choose(int a) { chosen = a > 3 ? act : stay; return act(a) + both[a & 1](a); }
int main(int argc, char **argv) { (void)argv; return choose(argc) + chosen(argc); }
