// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

__attribute__((noinline)) void fail(const char *function) { exit(function[0]); }

__attribute__((noinline)) int one(int a) { if (a > 5) fail(__func__); return a + 1; }
__attribute__((noinline)) int two(int a) { static int count; count += a; if (a > 6) fail(__func__); return count; }
__attribute__((noinline)) int three(int a) { static int count; count -= a; if (a > 7) fail(__func__); return count; }

int main(int argc, char **argv) { (void)argv; return one(argc) + two(argc) + three(argc); }
