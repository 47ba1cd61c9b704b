// SPDX-License-Identifier: GPL-2.0-or-later

// What --fix-cortex-a53-843419 rewrites: adrp in the last words of a page, a
// load or store, and one that uses the page.
	.text
	.globl	fixture_start
	.type	fixture_start, %function
fixture_start:
	.macro	page at
	.org	\at
	.endm

	page	0xff8
	adrp	x0, variable
	str	x1, [x1]
	ldr	x2, [x0, :lo12:variable + 8]
	page	0x1ffc
	adrp	x5, variable
	ldr	x1, [x1]
	nop
	strb	w2, [x5, :lo12:variable + 3]
	page	0x2ff8
	adrp	x7, :got:elsewhere
	ldr	x1, [x1, #8]
	ldr	x7, [x7, :got_lo12:elsewhere]
	page	0x3ffc
	adrp	x9, :gottprel:tls_other
	ldr	x1, [x1, #8]
	ldr	x9, [x9, :gottprel_lo12:tls_other]
	page	0x4ff8
	adrp	x0, variable
	str	q1, [x1]
	str	q2, [x0, :lo12:variable]
	ret

	.data
	.balign	16
	.globl	variable
	.hidden	variable
	.type	variable, %object
variable:
	.zero	32
