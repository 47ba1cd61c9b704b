// SPDX-License-Identifier: GPL-2.0-or-later

template <typename F> [[gnu::noinline]] int each(int n, F f)
{
	int sum = 0;
	for (int i = 0; i < n; i++)
		sum += f(i);
	return sum;
}

int parse(int a)
{
	return each(a, [=](int i) { return i % 7 * a; }) + each(3, [](int i) { return i; });
}

int main(int argc, char **argv) { return parse(argc); }
