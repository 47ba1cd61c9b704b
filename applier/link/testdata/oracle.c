// SPDX-License-Identifier: GPL-2.0-or-later
//
// What compilers make of ordinary code: calls, tables, pointers, constants.

extern int other(int), others[];
extern int weak_absent(void) __attribute__((weak));
extern __thread int other_tls __attribute__((tls_model("initial-exec")));
extern void (*hook)(void);

static int counter, zeroed[100];
static const char *const names[] = {"one", "two", "three"};
static int twice(int x) { return other(x) * 2; }
int (*functions[])(int) = {other, twice};
int *pointers[] = {&counter, &zeroed[50], &others[3], (int *)((char *)others - 8)};

__attribute__((noinline)) static double constant(int n) { return n * 3.25 + 1e100; }

__attribute__((noinline, cold)) static void never(const char *s) { if (hook) hook(); counter += *s; }

int choose(int n, const char *s)
{
	switch (n) {
	case 0: return other(1);
	case 1: return twice(others[2]);
	case 2: counter++; return counter;
	case 3: return names[counter & 1][0];
	case 4: return (int)constant(n);
	case 5: never(s); return 7;
	case 6: return functions[counter & 1](n);
	case 7: return *pointers[n & 3];
	}
	return weak_absent ? weak_absent() : zeroed[n];
}

int thread_local(void) { return other_tls; }
int tail(int x) { return other(x + 1); }
