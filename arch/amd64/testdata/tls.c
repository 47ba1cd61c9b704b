// SPDX-License-Identifier: GPL-2.0-or-later

/* Prints where a thread-local variable lies, relative to the thread pointer. */
#include <stdio.h>
#include <string.h>

#ifndef ALIGN
#define ALIGN 8
#endif

__thread char first = 1;
__thread long second __attribute__((aligned(ALIGN)));
__thread char third[5];

void fixture_start(void) {}

int main(int argc, char **argv)
{
	char *tp, *p = &first;

	if (argc > 1 && !strcmp(argv[1], "second"))
		p = (char *)&second;
	if (argc > 1 && !strcmp(argv[1], "third"))
		p = third;
	__asm__("mov %%fs:0, %0" : "=r"(tp));
	printf("%ld", (long)(p - tp));
	return 0;
}
