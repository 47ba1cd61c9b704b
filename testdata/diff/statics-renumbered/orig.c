// SPDX-License-Identifier: GPL-2.0-or-later

__attribute__((noinline)) int first(int a)
{
	return a + 1;
}

__attribute__((noinline)) int second(int a)
{
	static int count;
	count += a;
	return count;
}

__attribute__((noinline)) int third(int a)
{
	static int count = 3;
	count -= a;
	return count;
}

int main(int argc, char **argv) { return first(argc) + second(argc) + third(argc); }
