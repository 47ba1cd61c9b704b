// SPDX-License-Identifier: GPL-2.0-or-later

/* Puts what a call keeps on the stack, the stack's pointer in *from, and goes on
 * with the stack to. */
void hand_switch(void **from, void *to);
asm(".globl hand_switch\n.type hand_switch,%function\nhand_switch:\n"
	"stp x29, x30, [sp, #-160]!\n"
	"stp x19, x20, [sp, #16]\nstp x21, x22, [sp, #32]\nstp x23, x24, [sp, #48]\n"
	"stp x25, x26, [sp, #64]\nstp x27, x28, [sp, #80]\n"
	"stp d8, d9, [sp, #96]\nstp d10, d11, [sp, #112]\nstp d12, d13, [sp, #128]\nstp d14, d15, [sp, #144]\n"
	"mov x9, sp\nstr x9, [x0]\nmov sp, x1\n"
	"ldp x19, x20, [sp, #16]\nldp x21, x22, [sp, #32]\nldp x23, x24, [sp, #48]\n"
	"ldp x25, x26, [sp, #64]\nldp x27, x28, [sp, #80]\n"
	"ldp d8, d9, [sp, #96]\nldp d10, d11, [sp, #112]\nldp d12, d13, [sp, #128]\nldp d14, d15, [sp, #144]\n"
	"ldp x29, x30, [sp], #160\nret\n.size hand_switch,.-hand_switch\n");

/* A stack with which body begins when it is switched to. It never returns. */
static void *hand_stack(void **top, void (*body)(void))
{
	enum { WORDS = 20 }; /* x29 and x30 are the first two */
	for (int i = 0; i < WORDS; i++)
		*--top = NULL;
	top[1] = (void *)body;
	return top;
}

/* Keeps all in a structure: the program counter before the stack pointer, which is
 * that of the caller. */
void apart_switch(void **from, void **to);
asm(".globl apart_switch\n.type apart_switch,%function\napart_switch:\n"
	"mov x9, sp\nstp x30, x9, [x0]\nstp x29, x19, [x0, #16]\nstp x20, x21, [x0, #32]\nstp x22, x23, [x0, #48]\n"
	"stp x24, x25, [x0, #64]\nstp x26, x27, [x0, #80]\nstr x28, [x0, #96]\n"
	"stp d8, d9, [x0, #112]\nstp d10, d11, [x0, #128]\nstp d12, d13, [x0, #144]\nstp d14, d15, [x0, #160]\n"
	"ldp x30, x9, [x1]\nldp x29, x19, [x1, #16]\nldp x20, x21, [x1, #32]\nldp x22, x23, [x1, #48]\n"
	"ldp x24, x25, [x1, #64]\nldp x26, x27, [x1, #80]\nldr x28, [x1, #96]\n"
	"ldp d8, d9, [x1, #112]\nldp d10, d11, [x1, #128]\nldp d12, d13, [x1, #144]\nldp d14, d15, [x1, #160]\n"
	"mov sp, x9\nret\n.size apart_switch,.-apart_switch\n");
enum { APART_PC = 0, APART_SP = 1, APART_WORDS = 22 };

/* A stack to begin a function with. */
static void *apart_stack(void **top)
{
	return top;
}
