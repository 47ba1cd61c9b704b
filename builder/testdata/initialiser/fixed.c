// SPDX-License-Identifier: GPL-2.0-or-later
int level = 4;
int table[4] = { 1, 2, 3, 4 };
__attribute__((noinline)) int pick(int a) { return table[a & 2] + level++; }
int main(int argc, char **argv) { (void)argv; return pick(argc); }
