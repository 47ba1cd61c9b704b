// SPDX-License-Identifier: GPL-2.0-or-later

struct pair { int a, b; };

__attribute__((noinline)) static int last(struct pair *p) { p->b++; return p->b * 5; }

__attribute__((noinline)) int one(struct pair *p) { return p->a ? last(p) : 0; }
__attribute__((noinline)) int two(struct pair *p) { return last(p) * 2; }

int main(int argc, char **argv)
{
	struct pair p = { argc, argv[0][0] };
	return one(&p) + two(&p);
}
