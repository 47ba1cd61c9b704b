// SPDX-License-Identifier: GPL-2.0-or-later

/* A thread that is inside the patched function, in a call that blocks, until
 * "leave" is asked. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef FIXED
enum { VERSION = 2 };
#else
enum { VERSION = 1 };
#endif

static int door[2];
static long errors;

static __attribute__((noinline)) void wait_at(int fd)
{
	char c;
	if (read(fd, &c, 1) != 1)
		errors++;
}

static __attribute__((noinline)) int work(int fd)
{
	volatile int v = VERSION;
	if (fd >= 0)
		wait_at(fd);
	return v;
}

static void *thread(void *arg)
{
	if (work(door[0]) < 1)
		errors++;
	return arg;
}

int main(void)
{
	char line[64];
	pthread_t t;
	if (pipe(door) || pthread_create(&t, NULL, thread, NULL))
		return 1;
	usleep(100000);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		if (!strcmp(line, "leave\n")) {
			if (write(door[1], "", 1) != 1)
				errors++;
			pthread_join(t, NULL);
			printf("left\n");
		} else if (!strcmp(line, "status\n")) {
			printf("version=%d errors=%ld\n", work(-1), errors);
		} else {
			break;
		}
		fflush(stdout);
	}
	printf("errors=%ld\n", errors);
	return errors != 0;
}
