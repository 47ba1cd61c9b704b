// SPDX-License-Identifier: GPL-2.0-or-later

// Each instruction that may refer to another object.
	.text
	b	outside
	bl	outside
	b.ne	outside
	cbz	x0, outside
	cbnz	w1, outside
	tbz	x0, #40, outside
	tbnz	w0, #4, outside
	adr	x0, outside
	adrp	x0, outside
	ldr	x0, outside
	ldr	w0, outside
	ldrsw	x0, outside
	ldr	q0, outside
	prfm	pldl1keep, outside
	br	x0
	blr	x0
	ret
	nop
	add	x0, x0, #1
	ldr	x0, [x0]
