// SPDX-License-Identifier: GPL-2.0-or-later

/* A shared library: thread-local variables of both kinds, a function pointer
 * whose value must not change, statics, and a fix that calls functions of the C
 * library that the library did not use before, some of them IFUNCs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__thread long library_calls;
static __thread long hidden_calls;
static int total;
static const char *const names[] = {"zero", "one", "two", "three"};

#ifdef FIXED
enum { VERSION = 2 };
static int fresh = 5;      /* a new variable with a value */
static int fresh_zero[64]; /* and one without */
#else
enum { VERSION = 1 };
#endif

int library_version(const char *text, char *out, int size);

typedef int version_function(const char *, char *, int);
version_function *library_pointer(void) { return library_version; }

static __attribute__((noinline)) int helper(int x)
{
	total++;
	return x + 1;
}

int library_version(const char *text, char *out, int size)
{
	library_calls++;
	hidden_calls++;
#ifdef FIXED
	/* strchr and strnlen are IFUNCs of the C library, getppid is not. */
	const char *end = strchr(text, '!');
	if (end && strnlen(text, 100) < 100 && getppid() > 0)
		snprintf(out, size, "%s-%ld", names[2], (long)(end - text));
	fresh_zero[total & 63]++;
	fresh++;
	if (library_pointer() != library_version)
		return -1;
	return helper(VERSION) - 1 + (fresh < 6) * 100;
#else
	snprintf(out, size, "%s-%s", names[1], text);
	return helper(VERSION) - 1;
#endif
}

long library_counts(void) { return library_calls * 1000 + hidden_calls; }
