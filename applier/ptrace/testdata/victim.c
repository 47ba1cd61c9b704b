// SPDX-License-Identifier: GPL-2.0-or-later
//
// Does one thing without end, as its argument says, and checks each time that
// nothing happened to it: results, signal mask, alternate stack. Anything wrong
// ends it with a message. "progress" counts the rounds.

#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

extern volatile uint64_t progress;
extern void check_sse(void), check_avx2(void), check_avx512(void);

static char altstack[65536];
static sigset_t mask;
static volatile uint64_t handled;

#define FAIL(...) do { printf("fail: " __VA_ARGS__); printf(": %m\n"); fflush(stdout); _exit(1); } while (0)

static void unchanged(void)
{
	sigset_t now;
	stack_t stack;
	sigprocmask(SIG_SETMASK, NULL, &now);
	if (memcmp(&now, &mask, 8)) FAIL("signal mask %lx instead of %lx", *(long *)&now, *(long *)&mask);
	sigaltstack(NULL, &stack);
	if (stack.ss_sp != altstack || stack.ss_size != sizeof altstack || stack.ss_flags) FAIL("alternate stack");
	progress++;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static int fd[2];

static void *writer(void *arg)
{
	(void)arg;
	for (unsigned char c = 0;; c++) {
		if (write(fd[1], &c, 1) != 1) FAIL("write");
		usleep(1000);
	}
	return NULL;
}

static void take(unsigned char *expected)
{
	unsigned char c;
	if (read(fd[0], &c, 1) != 1) FAIL("read");
	if (c != (*expected)++) FAIL("read %d", c);
}

static void count(int sig) { (void)sig; handled++; }

static void *idle(void *arg) { (void)arg; for (;;) pause(); return NULL; }
static void *brief(void *arg) { return arg; }

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	setbuf(stdout, NULL);
	stack_t stack = {.ss_sp = altstack, .ss_size = sizeof altstack};
	if (sigaltstack(&stack, NULL)) FAIL("sigaltstack");
	struct sigaction act = {.sa_handler = count, .sa_flags = SA_RESTART | SA_ONSTACK};
	sigaction(SIGALRM, &act, NULL);
	sigaction(SIGRTMIN + 1, &act, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGRTMIN + 5);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	printf("%lx %lx\n", (unsigned long)&progress, (unsigned long)&handled);

	if (strstr(what, "alarm")) {
		struct itimerval every = {{0, 1000}, {0, 1000}};
		setitimer(ITIMER_REAL, &every, NULL);
	}
	if (strstr(what, "registers")) {
		if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) { puts("avx512"); check_avx512(); }
		if (__builtin_cpu_supports("avx2")) { puts("avx2"); check_avx2(); }
		puts("sse");
		check_sse();
	}
	pthread_t thread;
	if (!strcmp(what, "threads")) {
		for (int i = 0; i < 8; i++) pthread_create(&thread, NULL, idle, NULL);
		for (;;) unchanged();
	}
	if (!strcmp(what, "churn"))
		for (;;) {
			pthread_create(&thread, NULL, brief, NULL);
			pthread_join(thread, NULL);
			unchanged();
		}
	if (!strcmp(what, "mainless")) {
		pthread_create(&thread, NULL, idle, NULL);
		pthread_exit(NULL);
	}
	if (!strcmp(what, "spin")) for (;;) unchanged();
	if (!strcmp(what, "clock")) for (;;) { if (now() < 0) FAIL("now"); progress++; }
	if (!strcmp(what, "sleep"))
		for (;;) {
			double from = now();
			struct timespec t = {0, 3000000};
			if (nanosleep(&t, NULL)) FAIL("nanosleep");
			if (now() - from < 0.003) FAIL("slept for %f s only", now() - from);
			unchanged();
		}
	if (!strcmp(what, "abstime"))
		for (;;) {
			struct timespec t;
			clock_gettime(CLOCK_MONOTONIC, &t);
			if ((t.tv_nsec += 3000000) >= 1000000000) { t.tv_nsec -= 1000000000; t.tv_sec++; }
			int err = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
			if (err) FAIL("clock_nanosleep: %d", err);
			unchanged();
		}
	if (!strcmp(what, "futex"))
		for (;;) {
			int word = 0;
			struct timespec t = {0, 3000000};
			long r = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
			if (r != -1 || errno != ETIMEDOUT) FAIL("futex: %ld", r);
			unchanged();
		}
	if (!strcmp(what, "pause")) for (;;) { pause(); if (errno != EINTR) FAIL("pause"); unchanged(); }

	if (!strcmp(what, "socket")) { if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd)) FAIL("socketpair"); }
	else if (pipe(fd)) FAIL("pipe");
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	pthread_create(&thread, NULL, writer, NULL);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	unsigned char expected = 0;
	int ep = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN};
	epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &event);
	for (;;) {
		if (!strcmp(what, "poll")) {
			struct pollfd p = {fd[0], POLLIN, 0};
			if (poll(&p, 1, 10000) != 1) FAIL("poll");
		} else if (!strcmp(what, "ppoll")) {
			struct pollfd p = {fd[0], POLLIN, 0};
			struct timespec t = {10, 0};
			if (ppoll(&p, 1, &t, &mask) != 1) FAIL("ppoll");
		} else if (!strcmp(what, "select")) {
			fd_set set;
			FD_ZERO(&set);
			FD_SET(fd[0], &set);
			struct timeval t = {10, 0};
			if (select(fd[0] + 1, &set, NULL, NULL, &t) != 1) FAIL("select");
		} else if (!strcmp(what, "epoll")) {
			int n = epoll_wait(ep, &event, 1, 10000);
			if (n < 0 && errno == EINTR) { unchanged(); continue; } // as after SIGCONT: signal(7)
			if (n != 1) FAIL("epoll_wait: %d", n);
		} else if (strcmp(what, "read") && strcmp(what, "read alarm") && strcmp(what, "socket")) {
			FAIL("usage: %s", what);
		}
		take(&expected);
		unchanged();
	}
}
