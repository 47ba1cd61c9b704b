// SPDX-License-Identifier: GPL-2.0-or-later

struct shape {
	virtual int area() const;
	virtual int sides() const;
	int a = 3;
};

int shape::area() const { return a * a; }
int shape::sides() const { return 4; }

[[gnu::noinline]] int measure(const shape &s) { return s.area() * s.sides(); }

int main(int argc, char **argv)
{
	shape s;
	s.a = argc;
	return measure(s);
}
