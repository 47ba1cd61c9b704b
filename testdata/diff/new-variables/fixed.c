// SPDX-License-Identifier: GPL-2.0-or-later

static int total = 7;
static int seen;
static int limit = 12;
int depth;

__attribute__((noinline)) int parse(const char *s)
{
	total += s[0];
	static int calls = 1;
	seen++;
	depth += s[1];
	if (calls++ > limit)
		limit = depth;
	return s[1] * 10 + s[2];
}

int main(int argc, char **argv) { return parse(argv[0]) + total; }
