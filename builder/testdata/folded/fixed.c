// SPDX-License-Identifier: GPL-2.0-or-later
__attribute__((noinline)) int one(int a) { return a * 5 + 11; }
__attribute__((noinline)) int two(int a) { return a * 3 + 11; }
int main(int argc, char **argv) { (void)argv; return one(argc) ^ two(argc); }
