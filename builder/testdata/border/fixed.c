// SPDX-License-Identifier: GPL-2.0-or-later
static int tail[4] = { 3 };
static int fresh[2] = { 5 };
static int values[8] = { 1, 2 };
__attribute__((noinline)) int sum(int a)
{
	for (int *p = values; p != values + 8; p++)
		a += *p;
	return a + fresh[a & 1]++;
}
int main(int argc, char **argv) { (void)argv; values[argc & 7] = tail[argc & 3]++; return sum(argc); }
