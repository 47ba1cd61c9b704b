// SPDX-License-Identifier: GPL-2.0-or-later

/* A program that checks itself while it is patched. Each argument KIND=N starts
 * N threads of a kind; the main thread, or, if "leave" is the first, one that is
 * made after the others, answers questions on its standard input: "status" gives
 * one line, "quit" ends it after all threads have ended. Nothing here may ever see
 * a system call fail, a signal lost or invented, or a register changed. Compiled
 * with -DFIXED, work() is the fixed function. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "registers.h"
#ifdef START
#include "start.h"
#endif

#ifdef NUMBER /* of one of several fixes */
enum { VERSION = NUMBER };
#elif defined FIXED
enum { VERSION = 2 };
#else
enum { VERSION = 1 };
#endif

#define FUTEX_WAIT 0 /* linux/futex.h, which not every C library has */

static atomic_int stopping;
static atomic_long calls[10], errors, interrupted, rounds, received;
static char first_error[256];
static __thread long tls_calls;

static void wrong(const char *format, ...)
{
	if (atomic_fetch_add(&errors, 1) == 0) {
		va_list list;
		va_start(list, format);
		vsnprintf(first_error, sizeof first_error, format, list);
		va_end(list);
	}
}

/* The function that is patched: static, with many arguments of both kinds, a
 * thread-local counter, a switch, a call, a string. */
#ifdef SECTION
__attribute__((section(SECTION)))
#endif
static __attribute__((noinline)) long work(long a, long b, long c, long d, long e, long f, long g, double x, double y,
	const char *name, int *version)
{
	tls_calls++;
	switch (a & 7) {
	case 0: b += 1; break;
	case 1: b += 3; break;
	case 2: b += 7; break;
	case 3: b += 11; break;
	case 4: b += 13; break;
	case 5: b += 17; break;
	default: b += 19;
	}
	if (name[0] != 'w')
		wrong("work: name is %s", name);
#ifdef FIXED
	c += 1000;
#endif
	*version = VERSION;
	return a + b + c + d + e + f + g + (long)(x * 2 + y);
}

#ifdef HOOKS
#include "ulpatch.h"

/* Uses all that the interrupted thread may be using, and sleeps. */
static int disturb(void)
{
	const struct timespec t = {0, 1000 * 1000};
	char bytes[4096];
#ifdef __x86_64__
	volatile long double x = 0.5L; /* the x87 stack */
#else
	volatile double x = 0.5;
#endif
	memset(bytes, (int)(x * 200), sizeof bytes);
	nanosleep(&t, NULL);
	int odd = registers_clear();
	for (int i = 0; i < 12; i++)
		x = x * 2 + bytes[i * 7];
	return odd || x != (1 << 11) + 100L * ((1 << 12) - 1);
}

ULPATCH_PRE_APPLY(disturb)
ULPATCH_POST_APPLY(disturb)
ULPATCH_PRE_REVERT(disturb)
ULPATCH_POST_REVERT(disturb)
#endif

static long expect(long a, int version)
{
	static const long add[] = {1, 3, 7, 11, 13, 17, 19, 19};
	return a + add[a & 7] + 2 + 3 + 4 + 5 + 6 + 7 + (version > 1 ? 1000 : 0) + 3 + 4;
}

static int call_work(long a)
{
	int version = 0;
	long before = tls_calls;
	long got = work(a, 2, 3, 4, 5, 6, 7, 1.5, 4.25, "work", &version);
	if (version < 1 || version > 9)
		wrong("work: version %d", version);
	else if (got != expect(a, version))
		wrong("work(%ld) of version %d: %ld, not %ld", a, version, got, expect(a, version));
	if (tls_calls <= before) /* more, where a signal handler called it too */
		wrong("work: thread-local counter went from %ld to %ld", before, tls_calls);
	return version;
}

static void *hammer(void *arg)
{
	(void)arg;
	for (long a = 0; !stopping; a++)
		atomic_fetch_add_explicit(&calls[call_work(a) % 10], 1, memory_order_relaxed);
	return NULL;
}

/* Does nothing but call work, without anything of its own in between. */
static void *spin(void *arg)
{
	int version;
	(void)arg;
	while (!stopping) {
		work(1, 2, 3, 4, 5, 6, 7, 1.5, 4.25, "work", &version);
		work(2, 2, 3, 4, 5, 6, 7, 1.5, 4.25, "work", &version);
	}
	return NULL;
}

/* Calls work now and then, asleep otherwise. */
static void *idle(void *arg)
{
	struct timespec t = {0, 20 * 1000 * 1000};
	(void)arg;
	for (long a = 0; !stopping; a++) {
		atomic_fetch_add(&calls[call_work(a) % 10], 1);
		nanosleep(&t, NULL);
	}
	return NULL;
}

/* Fills registers with known values, lets time pass, and looks at them again:
 * CPU/registers.h does that for each CPU. */
static void *registers(void *arg)
{
	(void)arg;
	while (!stopping) {
		if (registers_changed())
			wrong("registers changed");
		atomic_fetch_add(&rounds, 1);
	}
	return NULL;
}

static void check(const char *what, long got, long want)
{
	if (got != want)
		wrong("%s returned %ld: %s", what, got, got < 0 ? strerror(errno) : "");
	atomic_fetch_add(&rounds, 1);
}

static void *reader(void *arg)
{
	(void)arg;
	int fd[2];
	if (pipe(fd))
		return NULL;
	pid_t child = fork();
	if (child == 0) {
		struct timespec t = {0, 3 * 1000 * 1000};
		for (unsigned char c = 0;; c++) {
			if (write(fd[1], &c, 1) != 1 || getppid() == 1)
				_exit(0);
			nanosleep(&t, NULL);
		}
	}
	for (unsigned char c = 0; !stopping; c++) {
		unsigned char got = 0;
		check("read", read(fd[0], &got, 1), 1);
		if (got != c)
			wrong("read %d, not %d", got, c);
	}
	kill(child, SIGKILL);
	close(fd[0]);
	close(fd[1]);
	return NULL;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void *sleeper(void *arg)
{
	struct timespec t = {0, 4 * 1000 * 1000};
	(void)arg;
	while (!stopping) {
		double start = now();
		check("nanosleep", nanosleep(&t, NULL), 0);
		if (now() - start < 0.004)
			wrong("nanosleep of 4 ms lasted %f s", now() - start);
		start = now();
		check("poll", poll(NULL, 0, 4), 0);
		if (now() - start < 0.004)
			wrong("poll of 4 ms lasted %f s", now() - start);
		int word = 0;
		start = now();
		long r = syscall(SYS_futex, &word, FUTEX_WAIT, 0, &t, NULL, 0);
		check("futex", r < 0 && errno == ETIMEDOUT ? 0 : r, 0);
		if (now() - start < 0.004)
			wrong("futex wait of 4 ms lasted %f s", now() - start);
		start = now();
		struct timeval tv = {0, 4000};
		check("select", select(0, NULL, NULL, NULL, &tv), 0);
		if (now() - start < 0.004)
			wrong("select of 4 ms lasted %f s", now() - start);
	}
	return NULL;
}

/* epoll_wait is the one call that the kernel interrupts whenever a thread is
 * stopped; that is counted and no error. */
static void *poller(void *arg)
{
	int fd = epoll_create1(0);
	(void)arg;
	while (!stopping) {
		struct epoll_event event;
		int r = epoll_wait(fd, &event, 1, 4);
		if (r < 0 && errno == EINTR)
			atomic_fetch_add(&interrupted, 1);
		else
			check("epoll_wait", r, 0);
	}
	return NULL;
}

/* Real-time signals with consecutive values, from another process's point of
 * view: each must arrive, once, in order. */
static atomic_long next_value;
static atomic_long alarms;

static void on_queued(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	long want = atomic_fetch_add(&next_value, 1);
	if (info->si_value.sival_int != (int)want)
		wrong("signal %ld arrived as %d", want, info->si_value.sival_int);
	atomic_fetch_add(&received, 1);
}

static void on_alarm(int sig)
{
	(void)sig;
	atomic_fetch_add(&alarms, 1);
	call_work(alarms);
}

static void *sender(void *arg)
{
	(void)arg;
	for (int value = 0; !stopping;) {
		union sigval v = {.sival_int = value};
		struct timespec t = {0, 200 * 1000};
		if (sigqueue(getpid(), SIGRTMIN, v) == 0)
			value++;
		else if (errno != EAGAIN)
			wrong("sigqueue: %s", strerror(errno));
		if (stopping || value - atomic_load(&received) > 100)
			nanosleep(&t, NULL);
		if (stopping) {
			for (int i = 0; i < 5000 && atomic_load(&received) != value; i++)
				nanosleep(&t, NULL);
			if (atomic_load(&received) != value)
				wrong("%d signals sent, %ld received", value, atomic_load(&received));
		}
	}
	return NULL;
}

static void *receiver(void *arg)
{
	sigset_t set;
	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	for (long a = 0; !stopping; a++)
		call_work(a);
	for (int i = 0; i < 3000; i++)
		usleep(300);
	return NULL;
}

static void *alarmed(void *arg)
{
	sigset_t set;
	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	struct itimerval t = {{0, 1000}, {0, 1000}};
	setitimer(ITIMER_REAL, &t, NULL);
	for (long a = 0; !stopping; a++)
		call_work(a);
	struct itimerval off = {{0, 0}, {0, 0}};
	setitimer(ITIMER_REAL, &off, NULL);
	return NULL;
}

static void *shortlived(void *arg)
{
	for (long a = 0; a < 50; a++)
		call_work(a);
	return arg;
}

static void *churn(void *arg)
{
	(void)arg;
	while (!stopping) {
		pthread_t t[4];
		for (int i = 0; i < 4; i++)
			if (pthread_create(&t[i], NULL, shortlived, NULL))
				wrong("pthread_create");
		for (int i = 0; i < 4; i++)
			pthread_join(t[i], NULL);
		atomic_fetch_add(&rounds, 1);
	}
	return NULL;
}

/* Children are patched as their parent was when they were made, or not at all. */
static void *forker(void *arg)
{
	(void)arg;
	while (!stopping) {
		struct timespec t = {0, 1000 * 1000};
		int status = -1;
		pid_t child = fork();
		if (child == 0) {
			int version = call_work(1);
			for (int i = 0; i < 100; i++)
				if (call_work(i) != version)
					_exit(3);
			_exit(errors ? 4 : 0);
		}
		if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
			wrong("child %d: status %#x", child, status);
		atomic_fetch_add(&rounds, 1);
		nanosleep(&t, NULL);
	}
	return NULL;
}

static const struct {
	const char *name;
	void *(*run)(void *);
} kinds[] = {
	{"hammer", hammer}, {"spin", spin}, {"idle", idle}, {"registers", registers}, {"reader", reader},
	{"sleeper", sleeper}, {"poller", poller}, {"sender", sender}, {"receiver", receiver},
	{"alarmed", alarmed}, {"churn", churn},
	{"forker", forker},
};

enum { MOST = 2048 };

static pthread_t threads[MOST];
static int n;

static void *answer(void *arg)
{
	char line[64];
	if (arg)
		pthread_join(*(pthread_t *)arg, NULL);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		if (!strcmp(line, "status\n"))
			printf("version=%d threads=%d calls=%ld old=%ld new=%ld rounds=%ld interrupted=%ld received=%ld errors=%ld %s\n",
				call_work(1), n, calls[1] + calls[2], calls[1], calls[2], rounds, interrupted, received, errors, first_error);
		else if (!strcmp(line, "quit\n"))
			break;
		fflush(stdout);
	}
	if (ferror(stdin))
		wrong("stdin: %s", strerror(errno));
	stopping = 1;
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	printf("errors=%ld %s\n", errors, first_error);
	exit(errors != 0);
	return arg;
}

int main(int argc, char **argv)
{
	sigset_t set;
	struct sigaction queued = {.sa_sigaction = on_queued, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigaction alarm = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	sigaction(SIGRTMIN, &queued, NULL);
	sigaction(SIGALRM, &alarm, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	int leave = argc > 1 && !strcmp(argv[1], "leave"); /* the main thread ends */
	for (int i = 1 + leave; i < argc; i++) {
		char *count = strchr(argv[i], '=');
		if (!count)
			return 2;
		*count++ = 0;
		for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++)
			if (!strcmp(argv[i], kinds[k].name))
				for (int c = atoi(count); c > 0 && n < MOST; c--)
					if (pthread_create(&threads[n++], &attr, kinds[k].run, NULL)) {
						perror("pthread_create");
						return 1;
					}
	}
	static pthread_t first;
	pthread_t last;
	if (!leave)
		answer(NULL);
	first = pthread_self();
	if (pthread_create(&last, &attr, answer, &first))
		return 1;
	pthread_exit(NULL);
}
