// SPDX-License-Identifier: GPL-2.0-or-later

__attribute__((noinline)) int parse(int a)
{
	static int n = 5;
	n ^= a;
	return n;
}

int main(int argc, char **argv) { return parse(argc); }
