// SPDX-License-Identifier: GPL-2.0-or-later

/* A program in an odd state, by argument:
 *
 *   dead-main  the main thread ends, another one answers
 *   vfork      a thread waits five seconds for a child of vfork
 *   no-memory  no address space is left, until "limit" is asked
 *
 * On "exec" it executes itself anew.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
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

static void *answer(void *arg)
{
	char line[64];
	setvbuf(stdin, NULL, _IONBF, 0); /* what is not read yet is for who comes after exec */
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		if (!strcmp(line, "limit\n")) {
			struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
			setrlimit(RLIMIT_AS, &none);
			printf("lifted\n");
		} else if (!strcmp(line, "exec\n")) {
			execl("/proc/self/exe", "odd", (char *)NULL);
		} else if (!strcmp(line, "status\n")) {
			printf("version=%d errors=%ld\n", work(5), errors);
		} else {
			break;
		}
		fflush(stdout);
	}
	printf("errors=%ld\n", errors);
	fflush(stdout);
	_exit(errors != 0);
	return arg;
}

static void *wait_for_child(void *arg)
{
	pid_t child = vfork();
	if (child == 0) {
		struct timespec t = {5, 0};
		nanosleep(&t, NULL);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t;
	const char *mode = argc > 1 ? argv[1] : "";
	if (!strcmp(mode, "dead-main")) {
		pthread_create(&t, NULL, answer, NULL);
		pthread_exit(NULL);
	}
	if (!strcmp(mode, "vfork")) {
		pthread_create(&t, NULL, wait_for_child, NULL);
		usleep(50000);
	}
	if (!strcmp(mode, "no-memory")) {
		struct rlimit one = {1, RLIM_INFINITY};
		printf("%s", ""); /* stdio's buffers first */
		setvbuf(stdout, malloc(BUFSIZ), _IOFBF, BUFSIZ);
		setvbuf(stdin, malloc(BUFSIZ), _IOFBF, BUFSIZ);
		setrlimit(RLIMIT_AS, &one);
	}
	answer(NULL);
	return 0;
}
