// SPDX-License-Identifier: GPL-2.0-or-later

/* An emulator's event loops: threads that serve requests by coroutines out of a
 * pool, as QEMU does, each of which waits within the function that is patched.
 * At nearly all times one or another of them is inside, and all their stacks are
 * full of what earlier requests have left.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef FIXED
enum { VERSION = 2 };
#else
enum { VERSION = 1 };
#endif

enum { LOOPS = 3, REQUESTS = 2, POOL = 16, STACK = 256 << 10, TICK = 1000000 /* ns */ };

static atomic_long errors, served;
static atomic_int last;

struct coroutine {
	sigjmp_buf env, caller;
	void (*entry)(struct coroutine *);
	int waiting, done, depth;
};

static __thread struct coroutine *current;

static __attribute__((noinline)) void enter(struct coroutine *c)
{
	current = c;
	if (!sigsetjmp(c->caller, 0))
		siglongjmp(c->env, 1);
	current = NULL;
}

static __attribute__((noinline)) void yield(void)
{
	struct coroutine *c = current;
	if (!sigsetjmp(c->env, 0))
		siglongjmp(c->caller, 1);
}

static __attribute__((noinline)) int work(struct coroutine *c)
{
	volatile char frame[128];
	memset((void *)frame, VERSION, sizeof frame);
	c->waiting = 1;
	yield();
	c->waiting = 0;
	for (unsigned i = 0; i < sizeof frame; i++)
		if (frame[i] != VERSION)
			errors++;
	return VERSION;
}

static __attribute__((noinline)) int request(struct coroutine *c, int depth)
{
	volatile char frame[64];
	memset((void *)frame, depth, sizeof frame);
	int version = depth ? request(c, depth - 1) : work(c);
	if (frame[10] != depth)
		errors++;
	return version;
}

static void serve(struct coroutine *c)
{
	last = request(c, c->depth);
	served++;
	c->done = 1;
}

static void trampoline(unsigned low, unsigned high)
{
	struct coroutine *c = (void *)((unsigned long)high << 32 | low);
	if (!sigsetjmp(c->env, 0))
		siglongjmp(c->caller, 1);
	for (;;) {
		c->entry(c);
		yield();
	}
}

static struct coroutine *make(void)
{
	struct coroutine *c = calloc(1, sizeof *c);
	ucontext_t here, there;
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!c || stack == MAP_FAILED || mprotect(stack, 4096, PROT_NONE) || getcontext(&there))
		abort();
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = STACK;
	there.uc_link = &here;
	c->entry = serve;
	makecontext(&there, (void (*)(void))trampoline, 2, (unsigned)(unsigned long)c, (unsigned)((unsigned long)c >> 32));
	if (!sigsetjmp(c->caller, 0))
		swapcontext(&here, &there);
	return c;
}

static void *loop(void *number)
{
	struct coroutine *pool[POOL], *active[REQUESTS] = {0};
	unsigned seed = (unsigned)(long)number, idle[REQUESTS] = {0};
	int free = POOL, timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct itimerspec tick = {{0, TICK}, {0, TICK}};
	unsigned long expired;
	for (int i = 0; i < POOL; i++)
		pool[i] = make();
	if (timer < 0 || timerfd_settime(timer, 0, &tick, NULL))
		abort();
	while (read(timer, &expired, sizeof expired) == sizeof expired) {
		for (int i = 0; i < REQUESTS; i++) {
			if (active[i]) {
				enter(active[i]);
				if (!active[i]->done || active[i]->waiting)
					errors++;
				pool[free++] = active[i];
				active[i] = NULL;
				idle[i] = rand_r(&seed) % 3;
			} else if (idle[i]) {
				idle[i]--;
			} else {
				int j = rand_r(&seed) % free;
				active[i] = pool[j];
				pool[j] = pool[--free];
				active[i]->done = 0;
				active[i]->depth = rand_r(&seed) % 4;
				enter(active[i]);
				if (!active[i]->waiting)
					errors++;
			}
		}
	}
	return NULL;
}

int main(void)
{
	char line[64];
	for (long i = 0; i < LOOPS; i++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, loop, (void *)(i + 1)))
			return 1;
	}
	while (served < 100)
		usleep(1000);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		if (!strcmp(line, "status\n"))
			printf("version=%d served=%ld errors=%ld\n", last, served, errors);
		else if (!strcmp(line, "quit\n"))
			break;
		fflush(stdout);
	}
	printf("errors=%ld\n", errors);
	return errors != 0;
}
