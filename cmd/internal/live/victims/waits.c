// SPDX-License-Identifier: GPL-2.0-or-later

/* One thread, which waits in the system call that it is told: "CALL MS". It answers
 * how the call ended, after how many ms, and how many signals were handled. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#ifdef FIXED
enum { VERSION = 2 };
#else
enum { VERSION = 1 };
#endif

static long errors;
static volatile int handled;

static __attribute__((noinline)) int work(int x)
{
	volatile int v = VERSION;
	if (x != 5)
		errors++;
	return v;
}

static void handler(int sig)
{
	if (sig != SIGALRM)
		handled++;
}

static long wait_in(const char *call, long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	sigset_t none, usr1;
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	if (!strcmp(call, "nanosleep"))
		return nanosleep(&ts, NULL);
	if (!strcmp(call, "futex")) {
		int word = 0;
		return syscall(SYS_futex, &word, 0, 0, &ts, NULL, 0);
	}
	if (!strcmp(call, "poll"))
		return poll(NULL, 0, ms);
	if (!strcmp(call, "select"))
		return select(0, NULL, NULL, NULL, &tv);
	if (!strcmp(call, "pause"))
		return pause();
	if (!strcmp(call, "sigsuspend"))
		return sigsuspend(&none);
	if (!strcmp(call, "read")) {
		struct itimerspec timer = {.it_value = ts};
		long ticks, r;
		int fd = timerfd_create(CLOCK_MONOTONIC, 0);
		timerfd_settime(fd, 0, &timer, NULL);
		r = read(fd, &ticks, sizeof ticks);
		close(fd);
		return r;
	}
	/* The usual way: a signal comes only while the call waits. */
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	long r = -2;
	if (!strcmp(call, "masked-ppoll"))
		r = ppoll(NULL, 0, &ts, &none);
	if (!strcmp(call, "masked-sigsuspend"))
		r = sigsuspend(&none);
	int e = errno;
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	errno = e;
	return r;
}

static long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int main(void)
{
	char line[64], call[64];
	long ms;
	struct sigaction sa = {.sa_handler = handler};
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGALRM, &sa, NULL);
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR2, &sa, NULL);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		errno = 0;
		if (!fgets(line, sizeof line, stdin)) {
			if (errno != EINTR)
				break;
			clearerr(stdin); /* a signal that came after the call had ended */
			continue;
		}
		if (!strcmp(line, "status\n")) {
			printf("version=%d errors=%ld\n", work(5), errors);
		} else if (sscanf(line, "%63s %ld", call, &ms) == 2) {
			handled = 0;
			alarm(ms / 1000 * 3); /* what waits for a signal that was lost */
			long begin = now();
			errno = 0;
			long r = wait_in(call, ms);
			int e = errno;
			alarm(0);
			printf("version=%d errors=%ld result=%ld errno=%d ms=%ld handled=%d\n", work(5), errors, r, e, now() - begin, handled);
		} else
			break;
		fflush(stdout);
	}
	printf("errors=%ld\n", errors);
	fflush(stdout);
	return errors != 0;
}
