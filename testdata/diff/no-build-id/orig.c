// SPDX-License-Identifier: GPL-2.0-or-later

static int total;

__attribute__((noinline)) int check(int a)
{
	if (a > total)
		total = a;
	return a % 37;
}

__attribute__((noinline)) int parse(int a)
{
	for (int i = 0; i < a; i++)
		total += check(i);
	return total;
}

int main(int argc, char **argv) { return parse(argc); }
