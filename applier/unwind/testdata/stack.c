// SPDX-License-Identifier: GPL-2.0-or-later
//
// Notes the return address and the canonical frame address of every activation
// in an array of its own, so that a test can compare what it finds on the stack.

#define _GNU_SOURCE
#include <ctype.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

struct { volatile uint64_t count; struct { void *volatile ra, *volatile cfa; } at[4096]; } shadow;
volatile uint64_t progress;
static const char *what;
static volatile uint64_t sink;

#define BARRIER __asm__ volatile("" ::: "memory")
#define ENTER do { \
	uint64_t n_ = shadow.count; \
	shadow.at[n_].ra = __builtin_return_address(0); \
	shadow.at[n_].cfa = __builtin_dwarf_cfa(); \
	BARRIER; shadow.count = n_ + 1; BARRIER; } while (0)
#define LEAVE do { BARRIER; shadow.count--; BARRIER; } while (0)
#define NOINLINE __attribute__((noinline, noclone))

static uint64_t deeper(int n, uint64_t x);

NOINLINE static void bottom(void)
{
	ENTER;
	if (!strcmp(what, "read")) { char c; progress = 1; sink += read(0, &c, 1); }
	else if (!strcmp(what, "sleep")) { progress = 1; sleep(1000); }
	else if (!strcmp(what, "poll")) { progress = 1; poll(NULL, 0, -1); }
	else if (!strcmp(what, "pause")) { progress = 1; pause(); }
	else if (!strcmp(what, "clock")) for (struct timespec t;; progress++) clock_gettime(CLOCK_MONOTONIC, &t);
	else if (!strcmp(what, "plt")) for (;; progress++) sink += toupper((int)progress & 127) + strnlen(what, 3);
	else for (;;) progress++;
	LEAVE;
}

#ifdef __GLIBC__
static ucontext_t back, there;
static char costack[65536];
static void coroutine(void) { ENTER; deeper(6, 3); LEAVE; }
#endif

static char altstack[65536];
static void handler(int sig)
{
	ENTER;
	(void)sig;
	what = "spin";
	deeper(5, 9);
	LEAVE;
}

NOINLINE static uint64_t leaf(int n, uint64_t x)
{
	if (n < 0) {
		if (!strcmp(what, "run")) { progress++; return x; }
		if (!strncmp(what, "signal", 6)) {
			struct sigaction act = {.sa_handler = handler, .sa_flags = strcmp(what, "signal") ? SA_ONSTACK : 0};
			stack_t stack = {.ss_sp = altstack, .ss_size = sizeof altstack};
			sigaltstack(&stack, NULL);
			sigaction(SIGSEGV, &act, NULL);
			sigaction(SIGUSR1, &act, NULL);
			if (!strcmp(what, "signal-fault")) *(volatile int *)8 = 1;
			raise(SIGUSR1);
		}
#ifdef __GLIBC__
		if (!strcmp(what, "coroutine")) {
			what = "spin";
			getcontext(&there);
			there.uc_stack.ss_sp = costack;
			there.uc_stack.ss_size = sizeof costack;
			there.uc_link = &back;
			shadow.count = 0; // what called us is not on the coroutine's stack
			makecontext(&there, coroutine, 0);
			swapcontext(&back, &there);
		}
#endif
		bottom();
	}
	return deeper(n, x);
}

NOINLINE static uint64_t with_alloca(int n, uint64_t x)
{
	ENTER;
	char *p = __builtin_alloca(100 + n * 64);
	memset(p, n, 100 + n * 64);
	x += leaf(n - 1, x) + (unsigned char)p[n];
	LEAVE;
	return x;
}

NOINLINE static uint64_t with_vla(int n, uint64_t x)
{
	ENTER;
	volatile uint64_t v[n + 3];
	v[n] = x;
	x = leaf(n - 1, x + 1) + v[n];
	LEAVE;
	return x;
}

NOINLINE static uint64_t many(int n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
	ENTER;
	uint64_t r = leaf(n - 1, a + h);
	r = a * r + b * c + d * e + f * g + h; // these live across the call
	LEAVE;
	return r;
}

NOINLINE static uint64_t variadic(int n, ...)
{
	va_list list;
	ENTER;
	va_start(list, n);
	uint64_t x = va_arg(list, uint64_t);
	x += leaf(n - 1, x);
	x += va_arg(list, uint64_t);
	va_end(list);
	LEAVE;
	return x;
}

NOINLINE static uint64_t large(int n, uint64_t x)
{
	ENTER;
	volatile char room[9000];
	room[n] = 1;
	x += leaf(n - 1, x) + room[n];
	LEAVE;
	return x;
}

NOINLINE static uint64_t aligned(int n, uint64_t x)
{
	ENTER;
	volatile uint64_t v[8] __attribute__((aligned(256)));
	v[n & 7] = x;
	x += leaf(n - 1, x) + v[n & 7];
	LEAVE;
	return x;
}

static int depth;
static int compare(const void *a, const void *b)
{
	ENTER;
	if (depth-- == 1) sink += leaf(*(const int *)a > 100 ? 0 : depth, 2);
	LEAVE;
	return *(const int *)a - *(const int *)b;
}

NOINLINE static uint64_t sorted(int n, uint64_t x)
{
	ENTER;
	int v[] = {n + 5, 2, 3};
	int before = depth;
	depth = 1;
	qsort(v, 3, sizeof *v, compare);
	depth = before;
	x += v[0] + leaf(n - 1, x);
	LEAVE;
	return x;
}

NOINLINE static uint64_t deeper(int n, uint64_t x)
{
	ENTER;
	uint64_t r = 0;
	switch (n < 0 ? 0 : n % 8) {
	case 0: r = n <= 0 ? leaf(-1, x) : leaf(n - 1, x); break;
	case 1: r = with_alloca(n, x); break;
	case 2: r = with_vla(n, x); break;
	case 3: r = many(n, x, 2, 3, 4, 5, 6, 7, 8); break;
	case 4: r = variadic(n, x, x + 1); break;
	case 5: r = large(n, x); break;
	case 6: r = aligned(n, x); break;
	case 7: r = sorted(n, x); break;
	}
	LEAVE;
	return r;
}

int main(int argc, char **argv)
{
	setbuf(stdout, NULL);
	what = argc > 1 ? argv[1] : "spin";
	int n = argc > 2 ? atoi(argv[2]) : 23;
	ENTER;
	printf("%lx %lx\n", (unsigned long)&shadow, (unsigned long)&progress);
	for (;;) sink += deeper(n, sink);
}
