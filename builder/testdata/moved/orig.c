// SPDX-License-Identifier: GPL-2.0-or-later
int place = 3;
__attribute__((noinline)) int low(int a) { return a + place; }
__attribute__((noinline)) int high(int);
int main(int argc, char **argv) { (void)argv; return low(argc) + high(argc); }
