// SPDX-License-Identifier: GPL-2.0-or-later

static int total;

__attribute__((noinline)) static int checked(int a)
{
	total++;
	return a < 0 ? 0 : a;
}

__attribute__((noinline)) int described(int a) { return checked(a) * 3; }

__attribute__((noinline)) int parse(const char *s)
{
	total += s[0];
	return described(s[1] * 10) + checked(s[2]);
}

int main(int argc, char **argv) { return parse(argv[0]) + total; }
