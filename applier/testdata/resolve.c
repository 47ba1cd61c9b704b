// SPDX-License-Identifier: GPL-2.0-or-later
//
// Prints where things are, as it sees them itself.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>

__thread char pad = 1;
__thread long aligned __attribute__((aligned(64))) = 2;
__thread int zero[10];
int variable = 3;
extern int weak_absent(void) __attribute__((weak));

int main(void)
{
	char *tp = __builtin_thread_pointer();
	void *(*volatile copy)(void *, const void *, size_t) = memcpy;
	printf("pad %lx\n", (unsigned long)(&pad - tp));
	printf("aligned %lx\n", (unsigned long)((char *)&aligned - tp));
	printf("zero %lx\n", (unsigned long)((char *)zero - tp));
	printf("variable %lx\n", (unsigned long)&variable);
	printf("memcpy %lx\n", (unsigned long)copy);
	printf("malloc %lx\n", (unsigned long)malloc);
	printf("errno %lx\n", (unsigned long)((char *)&errno - tp));
	printf("weak_absent %d\nend\n", weak_absent != NULL);
	fflush(stdout);
	if (variable == 99) abort(); // never: its slot stays as it was
	for (;;) pause();
}
