// SPDX-License-Identifier: GPL-2.0-or-later

/* A program whose fix has to remember something of each connection, which struct
 * conn has no room for: the example of specs/hooks.md. Worker threads open, use
 * and close connections and check what the fix remembers. Hooks note that they
 * were called, and do what the line "set NAME VALUE" on standard input wants. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Nothing of its callers changes with such a function. */
#ifdef __clang__
#define SEPARATE __attribute__((noinline))
#else
#define SEPARATE __attribute__((noipa))
#endif

static atomic_int stopping;
static atomic_long errors, called[4], inside, known, opened;
static atomic_long prepared, begun; /* pre-apply to post-revert, post-apply to pre-revert */
static struct control {
	char name[8];
	volatile long value;
} control[] = {{"veto", 0}, {"slow", 0}, {"crash", 0}, {"keep", 0}};

struct conn {
	long id, uses;
};

#ifdef FIXED
#include "ulpatch.h"

#ifndef VERSION
#define VERSION 2
#endif

struct extra {
	long id, uses;
};

ULPATCH_SHADOW(extra_of, struct extra)
ULPATCH_SHADOW_TABLE(extra_of, 64)
#endif

static SEPARATE int use(struct conn *c)
{
	c->uses++;
#ifdef FIXED
	struct extra *e = extra_of_get_or_alloc(c);
	if (!e || e->uses >= c->uses || (e->id && e->id != c->id))
		atomic_fetch_add(&errors, 1);
	else {
		if (!e->id)
			atomic_fetch_add(&known, 1);
		e->id = c->id;
		e->uses++;
	}
	return VERSION;
#else
	return 1;
#endif
}

static SEPARATE void closed(struct conn *c)
{
#ifdef FIXED
	struct extra *e = extra_of_get(c);
	if (e && e->id != c->id)
		atomic_fetch_add(&errors, 1);
	if (e)
		atomic_fetch_sub(&known, 1);
	extra_of_free(c);
#endif
	free(c);
}

/* Everything that a hook may find in use, and may use itself. */
static SEPARATE __attribute__((unused)) int hook(int stage)
{
#if __LDBL_MANT_DIG__ == 64
	volatile long double x = 1.5L; /* in registers of its own, on x86 */
#else
	volatile double x = 1.5; /* a long double would be libgcc's business */
#endif
	volatile double y[8];
	for (int i = 0; i < 8; i++) {
		x *= 2;
		y[i] = (double)x;
	}
	if (x != 384 || y[7] != 384)
		atomic_fetch_add(&errors, 1);
	atomic_fetch_add(&called[stage], 1);
	if (atomic_fetch_add(&inside, 1) != 0)
		atomic_fetch_add(&errors, 1); /* one at a time */
	long slow = control[1].value; /* milliseconds, once */
	control[1].value = 0;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	for (const long end = now.tv_sec * 1000 + now.tv_nsec / 1000000 + slow; now.tv_sec * 1000 + now.tv_nsec / 1000000 < end;) {
		struct timespec t = {0, 1000 * 1000};
		nanosleep(&t, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	}
	atomic_fetch_sub(&inside, 1);
	if (control[2].value == stage + 1)
		*(volatile int *)8 = 1;
	return control[0].value == stage + 1 ? 40 + stage : 0;
}

#ifdef FIXED
static int prepare(void)
{
	prepared = 1;
	return hook(0);
}

static int begin(void)
{
	begun = 1;
	return hook(1);
}

static int finish(void)
{
	begun = 0;
	return hook(2);
}

static int cleanup(void)
{
	prepared = 0;
	if (!control[3].value) {
		extra_of_release();
		atomic_store(&known, 0);
	}
	return hook(3);
}

ULPATCH_PRE_APPLY(prepare)
ULPATCH_POST_APPLY(begin)
ULPATCH_PRE_REVERT(finish)
ULPATCH_POST_REVERT(cleanup)
#endif

static void *worker(void *arg)
{
	struct conn *c[32] = {0};
	unsigned seed = (unsigned)(long)arg * 7919 + 1;
	for (long n = 0; !stopping; n++) {
		const struct timespec pause = {0, 100 * 1000};
		if (n % 256 == 0)
			nanosleep(&pause, NULL);
		unsigned i = (seed = seed * 1103515245 + 12345) >> 8 & 31;
		if (!c[i] && (c[i] = calloc(1, sizeof *c[i])))
			c[i]->id = atomic_fetch_add(&opened, 1) + 1;
		if (!c[i])
			abort();
		use(c[i]);
		if (c[i]->uses > (long)(seed >> 16 & 63)) {
			closed(c[i]);
			c[i] = NULL;
		}
	}
	for (int i = 0; i < 32; i++)
		if (c[i])
			closed(c[i]);
	return NULL;
}

static SEPARATE void answer(void)
{
	struct conn *c = calloc(1, sizeof *c);
	if (!c)
		abort();
	c->id = atomic_fetch_add(&opened, 1) + 1;
	int version = use(c);
	closed(c);
	printf("version=%d errors=%ld known=%ld inside=%ld prepared=%ld begun=%ld pre_apply=%ld post_apply=%ld pre_revert=%ld post_revert=%ld\n",
		version, (long)errors, (long)known, (long)inside, (long)prepared, (long)begun,
		(long)called[0], (long)called[1], (long)called[2], (long)called[3]);
}

int main(int argc, char **argv)
{
	(void)argv;
	/* The compiler makes calls of memset in the fix, which needs to find that it
	 * was called before: it is an indirect function. */
	memset((void *)called, 0, argc > 0 ? sizeof called : 0);
	char line[64], name[8];
	long value;
	pthread_t t[4];
	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, worker, (void *)i);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) && strcmp(line, "quit\n")) {
		if (sscanf(line, "set %7s %ld", name, &value) == 2)
			for (unsigned i = 0; i < sizeof control / sizeof *control; i++)
				if (!strcmp(control[i].name, name))
					control[i].value = value;
		answer();
		fflush(stdout);
	}
	stopping = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	printf("errors=%ld\n", (long)errors);
	return errors != 0;
}
