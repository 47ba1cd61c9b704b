// SPDX-License-Identifier: GPL-2.0-or-later
int flag;
__attribute__((noinline)) void nothing(void) { __asm__ volatile(""); }
__attribute__((noinline)) int pick(int a) { nothing(); return a + flag; }
int main(int argc, char **argv) { (void)argv; return pick(argc); }
