// SPDX-License-Identifier: GPL-2.0-or-later

// Every relocation that as emits and that a static link applies as it stands.
// The addresses of the value_* symbols are given to the linker. Instructions
// hold other bits than zeros where the field isn't.
	.section .fixture, "aw", %progbits
	.globl	fixture_start
fixture_start:
	.xword	value_64 + 0x11
	.word	value_32 + 0x11
	.hword	value_16 + 0x11
	.balign	8
	.xword	value_64 - .
	.word	value_pc32 - . + 0x11
	.hword	value_pc16 - . + 0x11
	.balign	4

	movz	x21, #:abs_g0:value_16
	movk	x21, #:abs_g0_nc:value_64
	movz	x10, #:abs_g1:value_32 + 0x11
	movk	x10, #:abs_g1_nc:value_64 + 0x11
	movz	x21, #:abs_g2:value_48
	movk	x21, #:abs_g2_nc:value_64
	movk	x10, #:abs_g3:value_64
	movz	x21, #:abs_g0_s:value_s16
	movz	w21, #:abs_g0_s:value_s16
	movn	x21, #:abs_g0_s:value_s16
	movz	x10, #:abs_g1_s:value_s32
	movz	x10, #:abs_g2_s:value_s48
	movz	x10, #:prel_g0:value_pc16
	movk	x10, #:prel_g0_nc:value_pc32
	movz	x21, #:prel_g1:value_pc32
	movk	x21, #:prel_g1_nc:value_64
	movz	x10, #:prel_g2:value_pc32
	movk	x10, #:prel_g2_nc:value_64
	movz	x10, #:prel_g3:value_64

	ldr	x21, value_pc21
	ldrsw	x10, value_pc21 + 0x14
	ldr	q21, value_pc21
	prfm	pldl1keep, value_pc21
	adr	x21, value_pc21 + 0x11
	adr	x10, value_pc21 + 0x12
	adrp	x21, value_page + 0x11
	adrp	x10, value_page + 0x3000
	adrp	x21, :pg_hi21_nc:value_page
	add	x21, x10, :lo12:value_low + 0x11
	add	w10, w21, :lo12:value_low
	ldrb	w21, [x10, :lo12:value_low + 0x11]
	strh	w10, [x21, :lo12:value_even + 0x12]
	ldr	s21, [x10, :lo12:value_even + 0x14]
	ldr	x10, [x21, :lo12:value_even + 0x18]
	str	q21, [x10, :lo12:value_even + 0x20]

	tbz	w21, #10, value_pc15
	tbnz	x10, #42, value_pc15 + 0x14
	cbz	x21, value_pc21
	cbnz	w10, value_pc21
	b.le	value_pc21 + 0x14
	b	value_pc27 + 0x14
	bl	value_pc27

	adrp	x21, :got:slotted
	ldr	x10, [x21, :got_lo12:slotted]
	ldr	x21, [x10, :gotpage_lo15:slotted]
	ldr	x10, [x21, :gotoff_lo15:slotted]
	movz	x21, #:gotoff_g1:slotted
	movk	x21, #:gotoff_g0_nc:slotted

	movz	x10, #:tprel_g2:early
	movz	x10, #:tprel_g1:thread
	movk	x21, #:tprel_g1_nc:thread
	movz	x21, #:tprel_g0:early
	movk	x10, #:tprel_g0_nc:thread + 0x11
	add	x10, x21, :tprel_hi12:thread, lsl 12
	add	x21, x10, :tprel_lo12:early
	add	x10, x21, :tprel_lo12_nc:thread + 0x11
	.irp	f, tprel_lo12, dtprel_lo12
	.irp	nc, early, early + 16
	ldrb	w21, [x10, :\f:\nc]
	ldrh	w10, [x21, :\f:\nc]
	ldr	s21, [x10, :\f:\nc]
	str	x10, [x21, :\f:\nc]
	.endr
	.endr
	.irp	f, tprel_lo12_nc, dtprel_lo12_nc
	ldrb	w21, [x10, :\f:thread + 1]
	ldrh	w10, [x21, :\f:thread + 2]
	ldr	s21, [x10, :\f:thread + 4]
	str	x10, [x21, :\f:thread + 8]
	.endr
	movz	x10, #:dtprel_g2:early
	movz	x10, #:dtprel_g1:thread
	movk	x21, #:dtprel_g1_nc:thread
	movz	x21, #:dtprel_g0:early
	movk	x10, #:dtprel_g0_nc:thread + 0x11
	add	x10, x21, :dtprel_hi12:thread, lsl 12
	add	x21, x10, :dtprel_lo12:early
	add	x10, x21, :dtprel_lo12_nc:thread + 0x11

	.tlsdesccall thread
	.reloc	., R_AARCH64_NONE, slotted
	nop
	.zero	64
	.globl	fixture_end
fixture_end:

	.text
	.globl	slotted
	.type	slotted, %function
slotted:
	ret

	.section .tbss, "awT", %nobits
	.balign	32
	.ifdef	BACK
	.zero	0xa90
	.else
	.zero	0x540
	.endif
	.globl	early
	.type	early, %object
early:
	.ifdef	BACK
	.zero	0xaaa000
	.else
	.zero	0x555000
	.endif
	.globl	thread
	.type	thread, %object
thread:
	.zero	32
