// SPDX-License-Identifier: GPL-2.0-or-later

/* Puts what a call keeps on the stack, the stack's pointer in *from, and goes on
 * with the stack to. */
void hand_switch(void **from, void *to);
asm(".globl hand_switch\n.type hand_switch,@function\nhand_switch:\n"
	"push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
	"mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
	"pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n.size hand_switch,.-hand_switch\n");

/* A stack with which body begins when it is switched to. It never returns. */
static void *hand_stack(void **top, void (*body)(void))
{
	*--top = NULL;
	*--top = (void *)body;
	for (int i = 0; i < 6; i++)
		*--top = NULL;
	return top;
}

/* Keeps all in a structure: the program counter before the stack pointer, which is
 * that of the caller. */
void apart_switch(void **from, void **to);
asm(".globl apart_switch\n.type apart_switch,@function\napart_switch:\n"
	"mov (%rsp),%rdx\nlea 8(%rsp),%rcx\n"
	"mov %r12,(%rdi)\nmov %r13,8(%rdi)\nmov %r14,16(%rdi)\nmov %r15,24(%rdi)\n"
	"mov %rdx,32(%rdi)\nmov %rcx,40(%rdi)\nmov %rbx,48(%rdi)\nmov %rbp,56(%rdi)\n"
	"mov (%rsi),%r12\nmov 8(%rsi),%r13\nmov 16(%rsi),%r14\nmov 24(%rsi),%r15\n"
	"mov 48(%rsi),%rbx\nmov 56(%rsi),%rbp\nmov 40(%rsi),%rsp\njmp *32(%rsi)\n.size apart_switch,.-apart_switch\n");
enum { APART_PC = 4, APART_SP = 5, APART_WORDS = 8 };

/* A stack to begin a function with: as after a call. */
static void *apart_stack(void **top)
{
	*--top = NULL;
	return top;
}
