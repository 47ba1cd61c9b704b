// SPDX-License-Identifier: GPL-2.0-or-later

// Runs each instruction of the macro TESTS, in tests.s, with the registers that a
// record of input has, and puts there those that it leaves: x0 to x30, sp, the
// flags, and 1 if it could not be executed. Writes the records and the memory.
	.include "tests.s"
	.equ	record, 34 * 8

	.text
	.globl	_start
_start:
	adrp	x0, faulted
	add	x0, x0, :lo12:faulted
	adrp	x1, action
	add	x1, x1, :lo12:action
	str	x0, [x1]
	adrp	x0, altstack
	add	x0, x0, :lo12:altstack
	mov	x1, #0
	mov	x8, #132		// sigaltstack
	svc	#0
	mov	x20, #4			// SIGILL
	bl	handle
	mov	x20, #7			// SIGBUS
	bl	handle
	mov	x20, #11		// SIGSEGV
	bl	handle
	mov	x20, #5			// SIGTRAP
	bl	handle
	adrp	x0, input
	add	x0, x0, :lo12:input
	adrp	x1, cursor
	add	x1, x1, :lo12:cursor
	str	x0, [x1]
	TESTS
	adrp	x19, input
	add	x19, x19, :lo12:input
	ldr	x20, =input_end
	bl	write
	ldr	x19, =memory
	ldr	x20, =memory_end
	bl	write
	mov	x0, #0
	mov	x8, #94			// exit_group
	svc	#0

write:
	mov	x0, #1
	mov	x1, x19
	sub	x2, x20, x19
	cbz	x2, 1f
	mov	x8, #64
	svc	#0
	cmp	x0, #0
	b.le	1f
	add	x19, x19, x0
	b	write
1:	ret

handle:
	mov	x0, x20
	adrp	x1, action
	add	x1, x1, :lo12:action
	mov	x2, #0
	mov	x3, #8
	mov	x8, #134		// rt_sigaction
	svc	#0
	ret

// faulted(signal, info, context) goes on behind the instruction.
faulted:
	.equ	context_pc, 440
	ldr	x3, [x2, #context_pc]
	add	x3, x3, #4
	str	x3, [x2, #context_pc]
	adrp	x4, cursor
	ldr	x4, [x4, :lo12:cursor]
	mov	x5, #1
	str	x5, [x4, #33 * 8]
	ret

load:
	fmov	d30, x30
	adrp	x30, cursor
	ldr	x30, [x30, :lo12:cursor]
	ldr	x0, [x30, #31 * 8]
	mov	sp, x0
	ldr	x0, [x30, #32 * 8]
	msr	nzcv, x0
	ldr	x0, [x30, #30 * 8]
	msr	tpidr_el0, x0
	ldp	x0, x1, [x30, #0 * 8]
	ldp	x2, x3, [x30, #2 * 8]
	ldp	x4, x5, [x30, #4 * 8]
	ldp	x6, x7, [x30, #6 * 8]
	ldp	x8, x9, [x30, #8 * 8]
	ldp	x10, x11, [x30, #10 * 8]
	ldp	x12, x13, [x30, #12 * 8]
	ldp	x14, x15, [x30, #14 * 8]
	ldp	x16, x17, [x30, #16 * 8]
	ldp	x18, x19, [x30, #18 * 8]
	ldp	x20, x21, [x30, #20 * 8]
	ldp	x22, x23, [x30, #22 * 8]
	ldp	x24, x25, [x30, #24 * 8]
	ldp	x26, x27, [x30, #26 * 8]
	ldp	x28, x29, [x30, #28 * 8]
	fmov	x30, d30
	ret

save:
	fmov	d31, x29
	adrp	x29, cursor
	ldr	x29, [x29, :lo12:cursor]
	stp	x0, x1, [x29, #0 * 8]
	stp	x2, x3, [x29, #2 * 8]
	stp	x4, x5, [x29, #4 * 8]
	stp	x6, x7, [x29, #6 * 8]
	stp	x8, x9, [x29, #8 * 8]
	stp	x10, x11, [x29, #10 * 8]
	stp	x12, x13, [x29, #12 * 8]
	stp	x14, x15, [x29, #14 * 8]
	stp	x16, x17, [x29, #16 * 8]
	stp	x18, x19, [x29, #18 * 8]
	stp	x20, x21, [x29, #20 * 8]
	stp	x22, x23, [x29, #22 * 8]
	stp	x24, x25, [x29, #24 * 8]
	stp	x26, x27, [x29, #26 * 8]
	str	x28, [x29, #28 * 8]
	fmov	x0, d31
	str	x0, [x29, #29 * 8]
	mrs	x0, tpidr_el0
	str	x0, [x29, #30 * 8]
	mov	x0, sp
	str	x0, [x29, #31 * 8]
	mrs	x0, nzcv
	str	x0, [x29, #32 * 8]
	add	x29, x29, #record
	adrp	x0, cursor
	str	x29, [x0, :lo12:cursor]
	ret

	.data
	.balign	16
cursor:	.quad	0
action:	.quad	0, 0x48000004, 0, 0	// SA_SIGINFO, SA_ONSTACK, SA_NODEFER
altstack:
	.quad	alt, 0, 65536
	.bss
	.balign	16
alt:	.skip	65536
	.section .records, "aw"
input:	.incbin	"input"
input_end:
	.section .memory, "aw"
memory:	.incbin	"memory"
memory_end:
