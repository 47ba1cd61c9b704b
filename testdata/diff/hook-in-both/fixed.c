// SPDX-License-Identifier: GPL-2.0-or-later

#include "ulpatch.h"

static int total;

static int settled(void) { return total < 0; }
ULPATCH_PRE_APPLY(settled)

__attribute__((noinline)) int parse(const char *s)
{
	total += s[0];
	if (!s[1])
		return 0;
	return s[1] * 10 + s[2];
}

int main(int argc, char **argv) { return parse(argv[0]) + total; }
