// SPDX-License-Identifier: GPL-2.0-or-later

void *malloc(unsigned long);

struct state {
	int level, calls;
};

__attribute__((noinline)) struct state *start(int level)
{
	struct state *s = malloc(sizeof *s);
	if (s) {
		s->level = level;
		s->calls = 0;
	}
	return s;
}

__attribute__((noinline)) int parse(struct state *s, int a)
{
	s->calls++;
	return a * s->level;
}

int main(int argc, char **argv)
{
	struct state *s = start(argc);
	return s ? parse(s, argc) : 1;
}
