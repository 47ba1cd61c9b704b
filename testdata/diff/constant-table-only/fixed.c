// SPDX-License-Identifier: GPL-2.0-or-later

static const int primes[] = { 2, 3, 5, 7, 11, 13, 17, 19 };
static const short squares[] = { 1, 4, 9, 16, 25, 36, 49, 64 };

__attribute__((noinline)) int prime(int a) { return primes[a & 7]; }
__attribute__((noinline)) int square(int a) { return squares[a & 7]; }
__attribute__((noinline)) const int *table(void) { return primes; }

int main(int argc, char **argv) { return prime(argc) + square(argc) + *table(); }
