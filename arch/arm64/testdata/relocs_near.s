// SPDX-License-Identifier: GPL-2.0-or-later

// Slots that lie within 1 MiB of the code (the tiny code model).
	.section .fixture, "ax", %progbits
	.globl	fixture_start
fixture_start:
	ldr	x21, :got:slotted
	adr	x0, :tlsgd:thread
	bl	__tls_get_addr
	nop
	adr	x0, :tlsldm:own_thread
	bl	__tls_get_addr
	nop
	ldr	x10, :gottprel:thread_ie
	ldr	x1, :tlsdesc:thread_desc
	adr	x0, :tlsdesc:thread_desc
	.tlsdesccall thread_desc
	blr	x1
	.globl	fixture_end
fixture_end:

	.section .tbss, "awT", %nobits
	.balign	32
	.zero	0x234
	.globl	own_thread
	.hidden	own_thread
	.type	own_thread, %object
own_thread:
	.zero	12
