// SPDX-License-Identifier: GPL-2.0-or-later

/* A program that uses the library, by its link or, compiled with -DOPEN, by
 * dlopen of its argument, from several threads. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int version_function(const char *, char *, int);

#ifndef OPEN
extern version_function library_version;
long library_counts(void);
version_function *library_pointer(void);
#endif

static version_function *version, *first_pointer;
static long (*counts)(void);
static version_function *(*pointer)(void);
static volatile int stopping;
static long errors;

static int call(void)
{
	char out[64];
	long before = counts();
	int v = version("hello!", out, sizeof out);
	if (strcmp(out, v == 2 ? "two-5" : "one-hello!"))
		__atomic_fetch_add(&errors, 1, __ATOMIC_RELAXED);
	if (counts() != before + 1001)
		__atomic_fetch_add(&errors, 1, __ATOMIC_RELAXED);
	if (pointer() != first_pointer)
		__atomic_fetch_add(&errors, 1, __ATOMIC_RELAXED);
	return v;
}

static void *thread(void *arg)
{
	while (!stopping) {
		call();
		for (volatile int i = 0; i < 5000; i++) /* not always in the library */
			;
	}
	return arg;
}

int main(int argc, char **argv)
{
	char line[64];
	pthread_t t[4];
	(void)argc;
	(void)argv;
#ifdef OPEN
	void *lib = dlopen(argv[1], RTLD_NOW);
	if (!lib) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	version = (version_function *)dlsym(lib, "library_version");
	counts = (long (*)(void))dlsym(lib, "library_counts");
	pointer = (version_function * (*)(void)) dlsym(lib, "library_pointer");
#else
	version = library_version;
	counts = library_counts;
	pointer = library_pointer;
#endif
	first_pointer = pointer();
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, thread, NULL);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) && !strcmp(line, "status\n")) {
		printf("version=%d errors=%ld\n", call(), errors);
		fflush(stdout);
	}
	stopping = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	printf("errors=%ld\n", errors);
	return errors != 0;
}
