// SPDX-License-Identifier: GPL-2.0-or-later

int puts(const char *);

static int weigh(int a)
{
	int n = a * 3;
	return n;
}

__attribute__((noinline)) int one(int a) { return weigh(a) + 1; }
__attribute__((noinline)) int two(int a) { return weigh(a * 2); }
__attribute__((noinline)) int three(int a) { return weigh(a + 4) * 5; }

int main(int argc, char **argv) { return one(argc) + two(argc) + three(argc); }
