// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>

int total;
static int limit = 7;

__attribute__((noinline)) static int helper(int a) { return a * limit + total; }

__attribute__((noinline)) int parse(const char *s)
{
	total += helper((int)strlen(s));
	puts("parsed");
	return total;
}

int main(int argc, char **argv) { return parse(argv[argc - 1]); }
