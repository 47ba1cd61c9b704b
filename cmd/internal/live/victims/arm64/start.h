// SPDX-License-Identifier: GPL-2.0-or-later

/* The start of a program all of whose code may be guarded (BTI); that of the C
 * library begins with no landing pad, where it was not built for that. */
int main(int argc, char **argv);
asm(".globl _start\n.type _start,%function\n_start:\n"
	"hint #34\n" /* bti c */
	"mov x29, #0\nmov x30, #0\n"
	"mov x5, x0\n" /* what the interpreter wants to have called in the end */
	"ldr x1, [sp]\nadd x2, sp, #8\nmov x6, sp\n"
	"adrp x0, main\nadd x0, x0, :lo12:main\n"
	"mov x3, #0\nmov x4, #0\n"
	"bl __libc_start_main\n"
	".size _start,.-_start\n");
