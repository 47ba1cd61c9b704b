// SPDX-License-Identifier: GPL-2.0-or-later

static int total;

__attribute__((noinline)) int parse(const char *s)
{
	total += s[0] & 0x7f;
	return s[1] * 10 + s[2];
}

__attribute__((noinline)) int stay(int a) { return total % 7 + a; }

__attribute__((noinline)) static int check(int a)
{
	return a >= total && a < 100;
}

int main(int argc, char **argv) { return check(parse(argv[0])) + stay(argc); }
