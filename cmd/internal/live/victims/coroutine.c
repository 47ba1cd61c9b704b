// SPDX-License-Identifier: GPL-2.0-or-later

/* A coroutine that goes to sleep inside the function that is patched, on "enter",
 * and returns from it on "leave"; then it waits in its own loop, with what the
 * call has left on its stack below. Argument: how coroutines are switched.
 *
 *   ucontext   swapcontext for each switch
 *   jmpbuf     swapcontext once, then sigsetjmp and siglongjmp, as QEMU does
 *   hand       a switch of our own that pushes registers, in CPU/switch.h
 *
 * What is special, or makes frames hard to tell from what calls have left:
 *
 *   indirect   jmpbuf; it is called through pointers
 *   tail       jmpbuf; it is jumped to
 *   beside     ucontext; a thread is on a stack in the same memory
 *   pointer    indirect; the heap has a pointer to a local variable of a call that
 *              has ended, with return addresses right above
 *   own        ucontext; it is saved on the coroutine's own stack, as a local variable
 *   low        hand; it is saved at the low end of the coroutine's own stack
 *   large      hand; it is saved in memory that is too large to be searched
 *   direct     jmpbuf; what is patched calls sigsetjmp and siglongjmp itself
 *   apart      another switch of our own, which has nothing on the stack
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "switch.h"

#ifdef FIXED
enum { VERSION = 2 };
#else
enum { VERSION = 1 };
#endif

static enum { UCONTEXT, JMPBUF, HAND, APART } kind;
enum { SIZE = 1 << 20 };
static long errors;
static int last, sleeping_inside;

struct context {
	ucontext_t uc;
	sigjmp_buf env;
	void *sp;
	void *apart[APART_WORDS];
};
static struct context *outside, *inside; /* on the heap, as real ones mostly are */
static char *volatile limits[2]; /* of the coroutine's stack */
static int own, direct;

static __attribute__((noinline)) void switch_to(struct context *from, struct context *to)
{
	switch (kind) {
	case UCONTEXT:
		swapcontext(&from->uc, &to->uc);
		break;
	case JMPBUF:
		if (!sigsetjmp(from->env, 0))
			siglongjmp(to->env, 1);
		break;
	case HAND:
		hand_switch(&from->sp, to->sp);
		break;
	case APART:
		apart_switch(from->apart, to->apart);
		break;
	}
}

static volatile char **kept; /* in a large object, as what describes requests is */

static __attribute__((noinline)) void fill(volatile char *small)
{
	for (int i = 0; i < 16; i++)
		small[i] = (char)i;
}

static __attribute__((noinline)) void keep(void)
{
	volatile char small[16];
	fill(small);
	*kept = small;
	if (small[5] != 5)
		errors++;
}

/* The frame of this is a large one. */
static __attribute__((noinline)) void leave_large(void)
{
	struct context here, *usual = inside;
	if (own)
		inside = &here;
	if (kind == APART)
		apart_switch(inside->apart, outside->apart);
	else
		switch_to(inside, outside);
	inside = usual;
	/* On a CPU where who calls whom tells nothing, a whole context that is left
	 * over cannot be told from one that is in use. */
	explicit_bzero(&here, sizeof here);
}

static __attribute__((noinline)) void pause_here(const char *why)
{
	if (strcmp(why, "inside"))
		errors++;
	sleeping_inside = 1;
	if (own || kind == APART)
		leave_large();
	else
		switch_to(inside, outside);
	sleeping_inside = 0;
	if (kept)
		keep();
}

static __attribute__((noinline)) int work(int sleep)
{
	volatile char frame[512];
	memset((void *)frame, VERSION, sizeof frame);
	if (direct && sleep) {
		sleeping_inside = 1;
		if (!sigsetjmp(inside->env, 0))
			siglongjmp(outside->env, 1);
		sleeping_inside = 0;
	} else if (sleep) {
		pause_here("inside");
	}
	for (unsigned i = 0; i < sizeof frame; i++)
		if (frame[i] != VERSION)
			errors++;
	if (sleep)
		last = VERSION;
	return VERSION;
}

static int tail;

static __attribute__((noinline)) int jumps_on(int sleep)
{
	errors += sleep > 1;
	return work(sleep);
}

static __attribute__((noinline)) int jumps(int sleep)
{
	errors += sleep < 0;
	return jumps_on(sleep);
}

static __attribute__((noinline)) void deeper(int n)
{
	volatile char frame[256];
	memset((void *)frame, n, sizeof frame);
	if (n)
		deeper(n - 1);
	else if (tail)
		jumps(1);
	else
		work(1);
	if (frame[100] != n)
		errors++;
}

/* A compiler cannot tell what these call, nor can who looks at the code. */
static void (*volatile indirect_deeper)(int) = deeper;
static void (*volatile indirect_switch)(struct context *, struct context *) = switch_to;
static int indirect;

static void body(void)
{
	if (kind == JMPBUF && !sigsetjmp(inside->env, 0))
		swapcontext(&inside->uc, &outside->uc);
	while (indirect) {
		indirect_deeper(5);
		indirect_switch(inside, outside);
	}
	for (;;) {
		deeper(5);
		switch_to(inside, outside);
	}
}

static void serve(void)
{
	char line[64];
	while (fgets(line, sizeof line, stdin)) {
		if (!strcmp(line, "enter\n") || !strcmp(line, "leave\n")) {
			int want = line[0] == 'e';
			if (sleeping_inside == want)
				errors++;
			switch_to(outside, inside);
			if (sleeping_inside != want)
				errors++;
			printf("inside=%d last=%d\n", sleeping_inside, last);
		} else if (!strcmp(line, "status\n")) {
			printf("version=%d inside=%d errors=%ld\n", work(0), sleeping_inside, errors);
		} else if (!strcmp(line, "quit\n")) {
			break;
		}
		fflush(stdout);
	}
}

static void *idle(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* run calls a function on another stack. */
static void run(void (*function)(void), char *stack)
{
	static ucontext_t here, there;
	getcontext(&there);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = SIZE;
	there.uc_link = &here;
	makecontext(&there, function, 0);
	swapcontext(&here, &there);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "ucontext";
	int low = !strcmp(name, "low"), large = !strcmp(name, "large"), pointer = !strcmp(name, "pointer");
	indirect = pointer || !strcmp(name, "indirect");
	tail = !strcmp(name, "tail");
	own = !strcmp(name, "own");
	direct = !strcmp(name, "direct");
	kind = indirect || tail || direct || !strcmp(name, "jmpbuf") ? JMPBUF : low || large || !strcmp(name, "hand") ? HAND :
		!strcmp(name, "apart") ? APART : UCONTEXT;
	outside = calloc(1, sizeof *outside);
	inside = calloc(1, sizeof *inside);
	if (pointer)
		kept = (volatile char **)calloc(64, sizeof *kept) + 32;
	char *stack = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	enum { GUARD = 64 << 10 }; /* a page, however large */
	mprotect(stack, GUARD, PROT_NONE);
	limits[0] = stack + GUARD;
	limits[1] = stack + SIZE;
	if (low)
		inside = (void *)(stack + GUARD);
	if (large)
		inside = mmap(NULL, 65 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	getcontext(&inside->uc);
	inside->uc.uc_stack.ss_sp = stack;
	inside->uc.uc_stack.ss_size = SIZE;
	makecontext(&inside->uc, body, 0);
	if (kind == JMPBUF)
		swapcontext(&outside->uc, &inside->uc);
	if (kind == HAND)
		inside->sp = hand_stack((void **)(stack + SIZE - 64), body);
	if (kind == APART) {
		inside->apart[APART_PC] = (void *)body;
		inside->apart[APART_SP] = apart_stack((void **)(stack + SIZE - 64));
	}
	printf("ready\n");
	fflush(stdout);
	pthread_t thread; /* one that is on its own stack, to be borrowed */
	if (!strcmp(name, "beside") && pthread_create(&thread, NULL, idle, NULL))
		return 2;
	if (!strcmp(name, "beside"))
		run(serve, stack + SIZE);
	else
		serve();
	printf("errors=%ld\n", errors);
	return errors != 0;
}
