// SPDX-License-Identifier: GPL-2.0-or-later

template <typename T> struct range { T low, high; };

template <typename T> [[gnu::noinline]] T bounded(const range<T> &r, T a)
{
	if (a < r.low)
		return r.low;
	return a > r.high ? r.high : a;
}

int main(int argc, char **argv)
{
	range<int> numbers { 1, 9 };
	range<double> measures { 0.5, 1.5 };
	return bounded(numbers, argc) + (int)bounded(measures, (double)argc);
}
