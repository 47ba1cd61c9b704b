// SPDX-License-Identifier: GPL-2.0-or-later
__attribute__((noinline)) int one(int a) { static int count; static int other = 5; count += 2 * a; other ^= a; return a + count + other; }
__attribute__((noinline)) int two(int a) { static int count; count += a; return count; }

int main(int argc, char **argv) { (void)argv; return one(argc) + two(argc); }
