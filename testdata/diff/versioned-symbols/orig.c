// SPDX-License-Identifier: GPL-2.0-or-later

static int calls;

__attribute__((noinline)) int parse_1(int a)
{
	calls++;
	return a * 3;
}

__attribute__((noinline)) int parse_2(int a)
{
	calls += 2;
	return a * 5;
}

__asm__(".symver parse_1, parse@V1");
__asm__(".symver parse_2, parse@@V2");

int parse(int);
int both(int a) { return parse(a) + parse_1(a); }
