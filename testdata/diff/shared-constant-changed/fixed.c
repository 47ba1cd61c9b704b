// SPDX-License-Identifier: GPL-2.0-or-later

const int primes[] = { 2, 3, 5, 7, 11 };

__attribute__((noinline)) int prime(int a) { return primes[a % 5]; }

int main(int argc, char **argv) { return prime(argc); }
