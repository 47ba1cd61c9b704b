// SPDX-License-Identifier: GPL-2.0-or-later

// Every instruction that a linker may rewrite, in the ways that compilers have
// of it. ODD adds those that keep lld from rewriting any other.
	.text
	.globl	fixture_start
	.type	fixture_start, %function
fixture_start:
	.irp	v, target, elsewhere, variable, absent
	.irp	r, 0, 1, 7, 16, 29, 30
	adrp	x\r, :got:\v
	ldr	x\r, [x\r, :got_lo12:\v]
	.endr
	.ifdef	ODD
	adrp	x3, :got:\v		// another register
	ldr	x4, [x3, :got_lo12:\v]
	adrp	x3, :got:\v		// another instruction in between
	nop
	ldr	x3, [x3, :got_lo12:\v]
	adrp	x3, :got:\v		// two loads of one page
	ldr	x4, [x3, :got_lo12:\v]
	ldr	x5, [x3, :got_lo12:\v]
	.endif
	.endr

	.irp	v, target, variable
	.irp	r, 0, 1, 7, 16, 29, 30
	adrp	x\r, \v
	add	x\r, x\r, :lo12:\v
	.endr
	adrp	x3, \v + 16
	add	x3, x3, :lo12:\v + 16
	adrp	x3, \v
	add	x4, x3, :lo12:\v
	adrp	x3, \v
	nop
	add	x3, x3, :lo12:\v
	.endr
	adrp	x3, variable
	ldrb	w4, [x3, :lo12:variable]
	ldrh	w4, [x3, :lo12:variable + 2]
	str	w4, [x3, :lo12:variable + 4]
	ldr	x4, [x3, :lo12:variable + 8]
	adrp	x3, variable
	ldr	q4, [x3, :lo12:variable]
	bl	elsewhere
	b	elsewhere
	bl	target
	bl	absent
	b	absent

	.irp	v, tls_own, tls_other
	.irp	r, 0, 1, 7, 16, 30
	adrp	x\r, :gottprel:\v
	ldr	x\r, [x\r, :gottprel_lo12:\v]
	.endr
	adrp	x0, :tlsdesc:\v
	ldr	x1, [x0, :tlsdesc_lo12:\v]
	add	x0, x0, :tlsdesc_lo12:\v
	.tlsdesccall \v
	blr	x1
	.endr
	ret

	.globl	target
	.hidden	target
	.type	target, %function
target:
	ret
	.weak	absent

	.data
	.balign	16
	.globl	variable
	.hidden	variable
	.type	variable, %object
variable:
	.zero	32
	.size	variable, 32

	.section .tbss, "awT", %nobits
	.balign	16
	.zero	24
	.globl	tls_own
	.hidden	tls_own
	.type	tls_own, %object
tls_own:
	.zero	8
	.size	tls_own, 8
