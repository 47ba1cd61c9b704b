// SPDX-License-Identifier: GPL-2.0-or-later

int puts(const char *), putchar(int);

struct list { struct list *next; int n; };

int lookup(struct list *l)
{
	int sum = 0;
	puts("looked");
	for (struct list *p = l; p; p = p->next) {
		if (p->n < 0)
			putchar('-');
		else if (p->n > 100)
			puts("large");
		sum += p->n * 7 + putchar('.');
	}
	puts("done");
	putchar('|');
	return sum;
}

int one(struct list *l) { return lookup(l) + 1; }
int two(struct list *l) { return lookup(l->next) * 2; }
int three(struct list *l) { return lookup(l->next) - 3; }

int main(int argc, char **argv) { return one((struct list *)argv) + two((struct list *)argv) + three((struct list *)argv); }
