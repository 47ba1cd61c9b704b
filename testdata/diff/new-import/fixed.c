// SPDX-License-Identifier: GPL-2.0-or-later

typedef __SIZE_TYPE__ size_t;
size_t strlen(const char *), strspn(const char *, const char *);

__attribute__((noinline)) int parse(const char *s)
{
	return (int)(strlen(s) - strspn(s, " \t"));
}

int main(int argc, char **argv) { return parse(argv[0]); }
