// SPDX-License-Identifier: GPL-2.0-or-later

__attribute__((always_inline)) static inline int next(int a)
{
	static int count;
	count += a;
	return count;
}

__attribute__((noinline)) int first(int a) { return next(a) + 1; }
__attribute__((noinline)) int second(int a) { return next(a) + 2; }

int main(int argc, char **argv) { return first(argc) + second(argc); }
