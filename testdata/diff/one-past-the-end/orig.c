// SPDX-License-Identifier: GPL-2.0-or-later

static int before[4] = { 9 };
static int values[8] = { 1, 2 };
static int behind[4] = { 3 };

__attribute__((noinline)) int sum(int a)
{
	for (int *p = values; p != values + 8; p++)
		a += *p;
	return a + behind[a & 3]++;
}

int main(int argc, char **argv)
{
	values[argc & 7] = before[argc & 3]++;
	return sum(argc);
}
