// SPDX-License-Identifier: GPL-2.0-or-later
int ready;
__attribute__((noinline)) int pick(int a) { return a + ready; }
int main(int argc, char **argv) { (void)argv; return pick(argc); }
