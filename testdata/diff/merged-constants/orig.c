// SPDX-License-Identifier: GPL-2.0-or-later

static const char weights[8] = { 3, 1, 4, 1, 5, 9, 2, 6 };
static const char word[] = "keyword";

int puts(const char *);

__attribute__((noinline)) double scaled(double d, int a) { return d * 1.25 + weights[a & 7]; }

__attribute__((noinline)) int parse(const char *s, int a)
{
	puts("parsing");
	if (s[0] == word[a & 7])
		return (int)scaled(a, 0);
	puts(word);
	return scaled(a, 1) > 30.5;
}

int main(int argc, char **argv) { return parse(argv[0], argc); }
