// SPDX-License-Identifier: GPL-2.0-or-later
__thread int mine = 4;
__thread char room[24];
__attribute__((noinline)) int pick(int a) { mine -= a; return mine + room[a & 3]; }
int main(int argc, char **argv) { (void)argv; return pick(argc); }
