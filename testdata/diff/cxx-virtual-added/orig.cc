// SPDX-License-Identifier: GPL-2.0-or-later

struct shape {
	virtual int area() const;
	int a = 3;
};

int shape::area() const { return a * a; }

[[gnu::noinline]] int measure(const shape &s) { return s.area(); }

int main(int argc, char **argv)
{
	shape s;
	s.a = argc;
	return measure(s);
}
