// SPDX-License-Identifier: GPL-2.0-or-later

/* The main thread is in a restartable sequence, which never ends by itself: each
 * time that it loses its CPU it counts, and begins anew. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/rseq.h>

static volatile unsigned long aborts;
extern const char first[], abort_handler[];

int main(void)
{
	struct rseq *r = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
	printf("%p %p %p\n", (void *)first, (void *)abort_handler, (void *)&aborts);
	fflush(stdout);
	for (;;) {
		__asm__ goto volatile(
			".pushsection .data.rseq_cs, \"aw\"\n"
			".balign 32\n"
			"sequence: .long 0, 0\n"
			".quad first, last - first, abort_handler\n"
			".popsection\n"
			"leaq sequence(%%rip), %%rax\n"
			"movq %%rax, %0\n"
			".globl first, abort_handler\n"
			"first: pause\n"
			"jmp first\n"
			"last:\n"
			".byte 0x0f, 0xb9, 0x3d\n"
			".long 0x53053053\n"
			"abort_handler:\n"
			"jmp %l[aborted]\n"
			: : "m"(r->rseq_cs) : "rax", "memory" : aborted);
aborted:
		aborts++;
	}
}
