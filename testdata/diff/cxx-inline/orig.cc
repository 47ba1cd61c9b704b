// SPDX-License-Identifier: GPL-2.0-or-later

struct counter {
	int n = 0;
	[[gnu::noinline]] int add(int a)
	{
		n += a;
		return n;
	}
	int get() const { return n; }
};

[[gnu::noinline]] int use(counter &c, int a) { return c.add(a) + c.get(); }

int main(int argc, char **argv)
{
	counter c;
	return use(c, argc) + c.add(3);
}
