// SPDX-License-Identifier: GPL-2.0-or-later

// Relocations that a linker leaves as they are only in a shared library.
	.section .fixture, "ax", %progbits
	.globl	fixture_start
fixture_start:
	adrp	x21, :got:slotted
	ldr	x10, [x21, :got_lo12:slotted]
	ldr	x21, [x10, :gotpage_lo15:slotted]
	bl	slotted
	b	slotted
	adrp	x10, own
	add	x21, x10, :lo12:own

	adrp	x21, :tlsgd:thread
	add	x0, x21, :tlsgd_lo12:thread
	bl	__tls_get_addr
	nop
	adrp	x10, :tlsgd:own_thread
	add	x10, x10, :tlsgd_lo12:own_thread
	bl	__tls_get_addr
	nop
	adrp	x21, :tlsldm:own_thread
	add	x0, x21, :tlsldm_lo12_nc:own_thread
	bl	__tls_get_addr
	nop
	add	x10, x21, :dtprel_hi12:own_thread, lsl 12
	add	x10, x21, :dtprel_lo12_nc:own_thread
	adrp	x10, :gottprel:thread_ie
	ldr	x21, [x10, :gottprel_lo12:thread_ie]
	adrp	x21, :gottprel:own_ie
	ldr	x10, [x21, :gottprel_lo12:own_ie]
	adrp	x10, :tlsdesc:thread_desc
	ldr	x21, [x10, :tlsdesc_lo12:thread_desc]
	add	x10, x10, :tlsdesc_lo12:thread_desc
	.tlsdesccall thread_desc
	blr	x21
	adrp	x0, :tlsdesc:own_desc
	ldr	x1, [x0, :tlsdesc_lo12:own_desc]
	add	x0, x0, :tlsdesc_lo12:own_desc
	.tlsdesccall own_desc
	blr	x1
	movz	x21, #:tlsgd_g1:thread
	movk	x10, #:tlsgd_g0_nc:thread
	movz	x10, #:gottprel_g1:thread_ie
	movk	x21, #:gottprel_g0_nc:thread_ie
	movz	x21, #:tlsdesc_off_g1:own_desc
	movk	x21, #:tlsdesc_off_g0_nc:own_desc
	.tlsdescldr own_desc
	ldr	x1, [x0, x1]
	.tlsdescadd own_desc
	add	x0, x0, x1
	.globl	fixture_end
fixture_end:

	.data
	.globl	own
	.hidden	own
own:
	.xword	0

	.section .tbss, "awT", %nobits
	.balign	32
	.zero	0x234
	.irp	name, own_thread, own_ie, own_desc
	.globl	\name
	.hidden	\name
	.type	\name, %object
\name:
	.zero	12
	.endr
