// SPDX-License-Identifier: GPL-2.0-or-later

/* What compilers make of ordinary C, to be proved against what linkers make. */
extern int elsewhere(int);
#ifdef LOCAL_DYNAMIC /* which is not for the variables of others */
extern __thread int tls_other __attribute__((tls_model("initial-exec")));
#else
extern __thread int tls_other;
#endif
extern int data_other;
extern int absent(int) __attribute__((weak));

int fixture_start(int a) { return a + 1; }

static __thread int tls_static = 3;
static __thread char tls_bytes[20];
__thread long tls_global;
int data_global = 4;
static int data_static[10];
static const char *const names[] = { "zero", "one", "two", "three", "four" };

int thread_locals(int a)
{
	tls_static += a;
	tls_bytes[a & 15]++;
	tls_global -= tls_static;
	return tls_other += tls_bytes[3];
}

int *addresses(int a)
{
	switch (a) {
	case 0: return &tls_static;
	case 1: return &tls_other;
	case 2: return &data_other;
	case 3: return &data_global;
	case 4: return &data_static[a + 1];
	case 5: return (int *)elsewhere;
	case 6: return (int *)fixture_start;
	case 7: return (int *)names[a];
	}
	return 0;
}

int compare(void *p)
{
	if (p == (void *)elsewhere || p == &data_other || p == (void *)fixture_start)
		return 1;
	return (long)p & (long)&data_global;
}

int calls(int a)
{
	a += elsewhere(a) + fixture_start(a);
	data_static[a & 7] = 0x12345678;
	data_global = 77;
	if (absent)
		a += absent(a);
	return elsewhere(a);
}

double floats(double x, float y)
{
	return x * 1.25 + y * 3.5f - data_other;
}
