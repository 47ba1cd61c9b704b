// SPDX-License-Identifier: GPL-2.0-or-later

int puts(const char *);

extern int shared_level;
int shared_level = 3;
static int calls, limits[4] = { 5, 10, 20, 40 };
static const unsigned char weights[] = { 3, 1, 4, 1, 5, 9, 2, 6 };
static const char *const words[] = { "none", "some", "many" };

__attribute__((noinline)) static int weigh(const char *s)
{
	int n = 0;
	for (; *s; s++)
		n += weights[*s & 7] * shared_level;
	return n;
}

__attribute__((noinline)) int choose(int a)
{
	static int last;
	switch (a & 7) {
	case 0: return last++;
	case 1: puts("one"); break;
	case 2: last = calls; break;
	case 3: return limits[a & 3]--;
	case 4: return weigh(words[1]);
	case 5: puts(words[2]); return 12;
	}
	return last;
}

__attribute__((noinline)) double scaled(double d) { return d * 1.25 + shared_level; }

__attribute__((noinline)) int parse(const char *s)
{
	calls++;
	if (!s[0]) {
		puts(__func__);
		return limits[calls & 3];
	}
	int n = weigh(s) + choose(s[0]);
	if (n > limits[0] && scaled(n) > 30)
		limits[0] = n;
	return n;
}

int main(int argc, char **argv) { return parse(argv[0]); }
