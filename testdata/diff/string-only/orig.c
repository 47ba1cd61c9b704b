// SPDX-License-Identifier: GPL-2.0-or-later

int puts(const char *);

__attribute__((noinline)) int hint(int a)
{
	puts("see the manual");
	return a * 3;
}

__attribute__((noinline)) int again(int a) { return puts("again") + a; }

int main(int argc, char **argv) { return hint(argc) + again(argc); }
