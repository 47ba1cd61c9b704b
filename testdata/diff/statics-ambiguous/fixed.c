// SPDX-License-Identifier: GPL-2.0-or-later

__attribute__((noinline)) int parse(int a)
{
	static int n;
	if (a < 2) {
		n ^= a;
		return n;
	}
	{
		static int n;
		n += 3 * a;
		if (a == 9) {
			static int n;
			n = a;
			return n;
		}
		return n;
	}
}

int main(int argc, char **argv) { return parse(argc); }
