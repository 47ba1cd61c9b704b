// SPDX-License-Identifier: GPL-2.0-or-later

static int total;

/* Adds. */
__attribute__((noinline)) int parse(int a)
{
	int before = total;
	total += a;
	return before;
}

int main(int argc, char **argv) { return parse(argc); }
