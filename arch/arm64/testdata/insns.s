// SPDX-License-Identifier: GPL-2.0-or-later

// Instructions that branch or refer to a place, in all their forms.
	.text
start:
	b	start
	b	far
	bl	start
	bl	far
	b.eq	start
	b.nv	far
	cbz	x0, start
	cbz	w30, far
	cbnz	x30, far
	tbz	w0, #31, start
	tbz	x30, #63, far
	tbnz	x0, #0, far
	br	x0
	br	x30
	braaz	x0
	brabz	x30
	braa	x0, sp
	brab	x30, x1
	blr	x0
	blraaz	x30
	blrabz	x0
	blraa	x30, sp
	blrab	x0, x30
	ret
	ret	x0
	retaa
	retab
	eret
	eretaa
	eretab
	drps
	svc	#0
	hvc	#0
	smc	#0
	brk	#0
	brk	#0xffff
	hlt	#0
	udf	#0
	udf	#0xffff
	dcps1
	adr	x0, start
	adr	x30, far + 1
	adrp	x0, start
	adrp	x30, . + 0x12345000
	ldr	w0, start
	ldr	x30, far
	ldrsw	x0, far
	ldr	s0, start
	ldr	d31, far
	ldr	q0, far
	prfm	pldl1keep, far
	prfm	#31, start
// what looks like them
	ldr	x0, [x1]
	ldur	x0, [x1, #-8]
	ldapur	w0, [x1]
	add	x0, x1, #1
	adds	x0, x1, #1
	movz	x0, #1
	nop
	yield
	wfe
	bti	c
	bti	j
	bti	jc
	hint	#34
	hint	#32
	hint	#127
	paciasp
	pacibsp
	autiasp
	xpaclri
	csdb
	ptrue	p0.b
	whilelo	p0.b, x0, x1
	ld1b	z0.b, p0/z, [x0]
	stg	x0, [x0]
	isb
	msr	tpidr_el0, x0
	.balign	64
	.rept	512
	nop
	.endr
far:
	ret
