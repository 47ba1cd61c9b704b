// SPDX-License-Identifier: GPL-2.0-or-later

void exit(int);

__attribute__((noinline)) void fail(const char *function) { exit(function[0]); }

__attribute__((noinline)) int before(int a) { if (a > 9) fail(__func__); return a * 11; }

__attribute__((noinline)) int parse(int a)
{
	if (a > 5)
		fail(__func__);
	return before(a) + 1;
}

__attribute__((noinline)) int stay(int a)
{
	if (a > 7)
		fail(__func__);
	return a + 3;
}

int main(int argc, char **argv) { return parse(argc) + stay(argc); }
