// SPDX-License-Identifier: GPL-2.0-or-later

struct failure { int code; };

struct guard {
	int &n;
	explicit guard(int &n) : n(n) { n++; }
	~guard() { n--; }
};

static int depth;

[[gnu::noinline]] int parse(int a)
{
	guard g(depth);
	if (a > 100)
		throw failure { a };
	return a * 3;
}

[[gnu::noinline]] int safe(int a)
{
	try {
		return parse(a) + depth;
	} catch (const failure &f) {
		return f.code;
	}
}

int main(int argc, char **argv) { return safe(argc); }
