// SPDX-License-Identifier: GPL-2.0-or-later

int puts(const char *);

__attribute__((noinline)) int parse(const char *s)
{
	if (!s[0])
		puts("empty");
	if (s[0] == ' ')
		puts("begins with a space");
	return s[1] * 10 + s[2];
}

int main(int argc, char **argv) { return parse(argv[0]); }
