// SPDX-License-Identifier: GPL-2.0-or-later

int puts(const char *), putchar(int);

__attribute__((noinline)) int parse(int a)
{
	return a % 37 + putchar(a);
}

int main(int argc, char **argv) { return parse(argc) + puts(argv[0]); }
