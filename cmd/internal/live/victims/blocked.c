// SPDX-License-Identifier: GPL-2.0-or-later

/* A thread in each of many blocking system calls. "status" names those that have
 * come back with EINTR since the start; nothing else may end them. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef FIXED
enum { VERSION = 2 };
#else
enum { VERSION = 1 };
#endif

static long errors;

static __attribute__((noinline)) int work(int x)
{
	volatile int v = VERSION;
	if (x != 5)
		errors++;
	return v;
}

enum { HOUR = 3600 };
static const struct timespec hour = {HOUR, 0};
static int pipes[2], pair[2], timed[2];

static int listener(int timeout)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval tv = {HOUR, 0};
	int s = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 1))
		errors++;
	if (timeout)
		setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	return s;
}

static long do_read(void) { char c; return read(pipes[0], &c, 1); }
static long do_recv(void) { char c; return recv(pair[0], &c, 1, 0); }
static long do_recv_timeout(void) { char c; return recv(timed[0], &c, 1, 0); }
static long do_accept(void) { return accept(listener(0), NULL, NULL); }
static long do_accept_timeout(void) { return accept(listener(1), NULL, NULL); }
static long do_poll(void) { return poll(NULL, 0, -1); }
static long do_poll_timeout(void) { return poll(NULL, 0, HOUR * 1000); }
static long do_ppoll(void) { sigset_t s; sigemptyset(&s); return ppoll(NULL, 0, &hour, &s); }
static long do_select(void) { return select(0, NULL, NULL, NULL, NULL); }
static long do_pselect(void) { sigset_t s; sigemptyset(&s); return pselect(0, NULL, NULL, NULL, &hour, &s); }
static long do_epoll_wait(void) { struct epoll_event e; return epoll_wait(epoll_create1(0), &e, 1, -1); }
static long do_epoll_pwait(void) { struct epoll_event e; sigset_t s; sigemptyset(&s); return epoll_pwait(epoll_create1(0), &e, 1, HOUR * 1000, &s); }
static long do_nanosleep(void) { return nanosleep(&hour, NULL); }
static long do_clock_nanosleep(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); t.tv_sec += HOUR; int r = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL); errno = r; return r ? -1 : 0; }
static long do_futex(void) { int w = 0; return syscall(SYS_futex, &w, 0, 0, NULL, NULL, 0); }
static long do_futex_timeout(void) { int w = 0; return syscall(SYS_futex, &w, 0, 0, &hour, NULL, 0); }
static long do_sem_wait(void) { static sem_t s; sem_init(&s, 0, 0); return sem_wait(&s); }
static long do_pause(void) { return pause(); }
static long do_sigsuspend(void) { sigset_t s; sigemptyset(&s); return sigsuspend(&s); }
static long do_sigwaitinfo(void) { sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR2); return sigwaitinfo(&s, NULL); }
static long do_sigtimedwait(void) { sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR2); return sigtimedwait(&s, NULL, &hour); }
static long do_eventfd(void) { eventfd_t v; return eventfd_read(eventfd(0, 0), &v); }
static long do_timerfd(void) { long v; return read(timerfd_create(CLOCK_MONOTONIC, 0), &v, 8); }
static long do_inotify(void) { char b[512]; return read(inotify_init(), b, sizeof b); }
static long do_waitpid(void) { pid_t p = fork(); if (!p) { for (;;) { if (getppid() == 1) _exit(0); usleep(100000); } } return waitpid(p, NULL, 0); }
static long do_msgrcv(void) { struct { long t; char c; } m; int q = msgget(IPC_PRIVATE, 0600); struct msqid_ds d; (void)d; long r = msgrcv(q, &m, 1, 0, 0); int e = errno; msgctl(q, IPC_RMID, NULL); errno = e; return r; }
static long do_semop(void) { int s = semget(IPC_PRIVATE, 1, 0600); struct sembuf b = {0, -1, 0}; long r = semop(s, &b, 1); int e = errno; semctl(s, 0, IPC_RMID); errno = e; return r; }
static long do_flock(void) { FILE *f = tmpfile(), *g; char name[64]; snprintf(name, sizeof name, "/proc/self/fd/%d", fileno(f)); g = fopen(name, "r"); if (!g) return 0; flock(fileno(f), LOCK_EX); return flock(fileno(g), LOCK_EX); }
static long do_connect_backlog(void) { char b[1 << 16]; memset(b, 0, sizeof b); int p[2]; if (pipe(p)) return 0; for (;;) { long r = write(p[1], b, sizeof b); if (r < 0) return r; } }

static struct blocked {
	const char *name;
	long (*call)(void);
	int interrupted;
} calls[] = {
#define CALL(n) {#n, do_##n, 0}
	CALL(read), CALL(recv), CALL(recv_timeout), CALL(accept), CALL(accept_timeout), CALL(poll), CALL(poll_timeout),
	CALL(ppoll), CALL(select), CALL(pselect), CALL(epoll_wait), CALL(epoll_pwait), CALL(nanosleep),
	CALL(clock_nanosleep), CALL(futex), CALL(futex_timeout), CALL(sem_wait), CALL(pause), CALL(sigsuspend),
	CALL(sigwaitinfo), CALL(sigtimedwait), CALL(eventfd), CALL(timerfd), CALL(inotify), CALL(waitpid),
	CALL(msgrcv), CALL(semop), CALL(flock), {"write", do_connect_backlog, 0},
};

static void *thread(void *arg)
{
	struct blocked *b = arg;
	for (;;) {
		long r = b->call();
		if (r >= 0 || errno != EINTR) {
			printf("%s ended with %ld: %s\n", b->name, r, strerror(errno));
			fflush(stdout);
			errors++;
			return NULL;
		}
		b->interrupted++;
	}
}

int main(void)
{
	enum { N = sizeof calls / sizeof *calls };
	char line[64];
	struct timeval tv = {HOUR, 0};
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (pipe(pipes) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || socketpair(AF_UNIX, SOCK_STREAM, 0, timed))
		return 1;
	setsockopt(timed[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	for (int i = 0; i < N; i++) {
		pthread_t t;
		pthread_create(&t, NULL, thread, &calls[i]);
	}
	usleep(300000);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) && !strcmp(line, "status\n")) {
		printf("version=%d errors=%ld interrupted:", work(5), errors);
		for (int i = 0; i < N; i++)
			if (calls[i].interrupted)
				printf(" %s", calls[i].name);
		printf("\n");
		fflush(stdout);
	}
	printf("errors=%ld\n", errors);
	fflush(stdout);
	_exit(errors != 0);
}
