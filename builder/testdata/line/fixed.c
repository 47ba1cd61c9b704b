// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

__attribute__((noinline)) void fail(const char *function, int line) { exit(line + function[0]); }

#define MUST(x) do { if (!(x)) fail(__func__, __LINE__); } while (0)

__attribute__((noinline)) int above(int a)
{
	MUST(a < 1000);
	return a + 1;
}
__attribute__((noinline)) int checks(int a) { MUST(a > 1); return a / 2; }
__attribute__((noinline)) int silent(int a) { return a * 3; }

int main(int argc, char **argv) { (void)argv; return checks(argc) + above(argc) + silent(argc); }
