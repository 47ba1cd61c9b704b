// SPDX-License-Identifier: GPL-2.0-or-later
int level = 3;
int table[5] = { 1, 2, 3, 4, 5 };
__attribute__((noinline)) int pick(int a) { return table[a & 2] + level++; }
int main(int argc, char **argv) { (void)argv; return pick(argc); }
