// SPDX-License-Identifier: GPL-2.0-or-later

int absent(int) __attribute__((weak));

__attribute__((weak, noinline)) int soft(int a)
{
	return a * 3;
}

__attribute__((noinline)) int use(int a)
{
	if (absent)
		a = absent(a);
	return soft(a) + 1;
}

int main(int argc, char **argv) { return use(argc); }
