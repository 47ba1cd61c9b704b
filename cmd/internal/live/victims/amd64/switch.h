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
