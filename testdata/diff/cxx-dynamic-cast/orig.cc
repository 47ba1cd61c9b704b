// SPDX-License-Identifier: GPL-2.0-or-later

struct animal { virtual ~animal() { } };
struct dog : animal { int barks = 3; };
struct cat : animal { int lives = 9; };

[[gnu::noinline]] int ask(animal *a)
{
	if (auto *d = dynamic_cast<dog *>(a))
		return d->barks;
	return 0;
}

int main(int argc, char **argv)
{
	dog d;
	cat c;
	return ask(argc > 1 ? (animal *)&d : &c);
}
