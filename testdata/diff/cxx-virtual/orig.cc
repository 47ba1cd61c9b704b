// SPDX-License-Identifier: GPL-2.0-or-later

struct shape {
	virtual ~shape() = default;
	virtual int area() const = 0;
	virtual int sides() const { return 0; }
};

struct square : shape {
	int a;
	explicit square(int a) : a(a) { }
	int area() const override;
	int sides() const override { return 4; }
};

int square::area() const
{
	return a * a;
}

[[gnu::noinline]] int measure(const shape &s) { return s.area() * s.sides(); }

int main(int argc, char **argv) { return measure(square(argc)); }
