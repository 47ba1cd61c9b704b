// SPDX-License-Identifier: GPL-2.0-or-later
__attribute__((noinline)) int one(int a) { static int other = 5; other ^= a; return a + other; }
__attribute__((noinline)) int two(int a) { static int count; count += a; return count; }

int main(int argc, char **argv) { (void)argv; return one(argc) + two(argc); }
