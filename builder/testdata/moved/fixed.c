// SPDX-License-Identifier: GPL-2.0-or-later
extern int place;
__attribute__((noinline)) int low(int a) { return a + 2 * place; }
__attribute__((noinline)) int high(int);
int main(int argc, char **argv) { (void)argv; return low(argc) + high(argc); }
