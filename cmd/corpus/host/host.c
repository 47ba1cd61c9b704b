// SPDX-License-Identifier: GPL-2.0-or-later
//
// host LIBRARY ARGUMENT: works with the library in several threads. To the line
// "rounds" on its standard input it answers, after some more rounds, with the
// number of rounds that were done and of those that went wrong; to any other,
// which names a bug, with VULN or FIXED. It ends with its input.

#include "host.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { THREADS = 4 };

void *library;
static const char *argument;
static atomic_int rounds, failed;
static atomic_bool over;

void *function(const char *name)
{
	void *found = dlsym(library, name);
	if (found == NULL) {
		puts(dlerror());
		exit(1);
	}
	return found;
}

__attribute__((weak)) bool vulnerable(const char *bug, const char *argument)
{
	return false;
}

static void *keep_working(void *number)
{
	while (!over) {
		if (!work((int)(intptr_t)number, argument))
			failed++;
		rounds++;
		usleep(500);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	char line[64];
	pthread_t threads[THREADS];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 3)
		return 2;
	argument = argv[2];
	library = dlopen(argv[1], RTLD_NOW);
	if (library == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	for (intptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, keep_working, (void *)i) != 0)
			return 1;
	while (fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, "rounds") != 0) {
			puts(vulnerable(line, argument) ? "VULN" : "FIXED");
			continue;
		}
		for (int goal = rounds + THREADS; rounds < goal;)
			usleep(200);
		printf("rounds %d failed %d\n", rounds, failed);
	}
	over = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return failed != 0;
}
