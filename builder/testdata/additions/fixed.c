// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>

int total;
static int limit = 7;

__attribute__((noinline)) static int helper(int a) { return a * limit + total; }

int seen[4];
static volatile int depth = 3;
const char *note;

__attribute__((noinline)) static int checked(int a)
{
	static int calls;
	note = "a new string";
	seen[a & 3]++;
	return a + depth + calls++;
}

__attribute__((noinline)) int parse(const char *s)
{
	total += helper(checked((int)strlen(s)));
	puts("parsed");
	return total;
}

int main(int argc, char **argv) { return parse(argv[argc - 1]); }
