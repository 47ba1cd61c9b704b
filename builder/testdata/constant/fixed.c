// SPDX-License-Identifier: GPL-2.0-or-later
static const short primes[] = { 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 41 };
static const short *const rows[] = { primes, primes + 4 };

__attribute__((noinline)) int pick(int a) { return primes[a & 7]; }
__attribute__((noinline)) int row(int a) { return rows[a & 1][a & 3]; }
__attribute__((noinline)) int none(int a) { return a + 2; }

int main(int argc, char **argv) { (void)argv; return pick(argc) + row(argc) + none(argc); }
