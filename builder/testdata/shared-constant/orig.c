// SPDX-License-Identifier: GPL-2.0-or-later
const short primes[] = { 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37 };
__attribute__((noinline)) int pick(int a) { return primes[a & 7]; }
int main(int argc, char **argv) { (void)argv; return pick(argc); }
