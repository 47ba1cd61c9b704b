// SPDX-License-Identifier: GPL-2.0-or-later
__thread int mine = 4;
__attribute__((noinline)) int pick(int a) { mine += a; return mine; }
int main(int argc, char **argv) { (void)argv; return pick(argc); }
