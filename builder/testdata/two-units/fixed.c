// SPDX-License-Identifier: GPL-2.0-or-later
int shared_count;
int fresh_count;
__attribute__((noinline)) int fresh(int a) { fresh_count += a; return a; }
__attribute__((noinline)) int low(int a) { return a + 1 + fresh(a); }
__attribute__((noinline)) int high(int);
int main(int argc, char **argv) { (void)argv; return low(argc) + high(argc); }
