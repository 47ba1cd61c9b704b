// SPDX-License-Identifier: GPL-2.0-or-later

__attribute__((noinline)) int first(int a)
{
	static int count;
	static int other = 5;
	count += 2 * a;
	other ^= a;
	return a + count + other;
}

__attribute__((noinline)) int second(int a)
{
	static int count;
	count += a;
	return count;
}

int main(int argc, char **argv) { return first(argc) + second(argc); }
