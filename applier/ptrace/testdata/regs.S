# SPDX-License-Identifier: GPL-2.0-or-later
#
# Fills every register with a value of its own and checks them without end:
# any change ends the process. progress counts the rounds.

	.bss
	.globl progress
	.balign 64
progress: .quad 0
spare:	.quad 0

	.section .rodata
	.balign 64
gpr:	.set i, 0
	.rept 16
	.quad 0x1111222233330000 + i * 0x0101010101010101
	.set i, i + 1
	.endr
	.balign 64
vec:	.set i, 0
	.rept 32 * 8
	.quad 0x8899aabbccdd0000 + i * 0x0000100000010001
	.set i, i + 1
	.endr
mask:	.set i, 0
	.rept 8
	.quad 0xfedc000000000000 + i * 0x1000200030004001
	.set i, i + 1
	.endr
mxcsr:	.long 0x5fc0 | 0x2000
fcw:	.word 0x0e7f
real:	.quad 0x400921fb54442d18


	.macro generals op
	.set i, 0
	.irp r, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	\op gpr + 8 * i(%rip), %\r
	.ifc \op, cmpq
	jne fail
	.endif
	.set i, i + 1
	.endr
	.endm

	.macro checkothers
	generals cmpq
	stmxcsr spare(%rip)
	movl spare(%rip), %eax
	cmpl mxcsr(%rip), %eax
	jne fail
	fnstcw spare(%rip)
	movw spare(%rip), %ax
	cmpw fcw(%rip), %ax
	jne fail
	fldl real(%rip)
	fucomip %st(1), %st
	jne fail
	jp fail
	movabs $0x7172737475767778, %rax
	cmpq rax7(%rip), %rax
	jne fail
	incq progress(%rip)
	.endm

	.macro begin
	endbr64
	ldmxcsr mxcsr(%rip)
	fninit
	fldcw fcw(%rip)
	fldl real(%rip)
	generals movq
	.endm

	.section .rodata
rax7:	.quad 0x7172737475767778

	.text
	.globl check_sse, check_avx2, check_avx512
	.type check_sse, @function
check_sse:
	begin
	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14
	movdqa vec + 64 * \n(%rip), %xmm\n
	.endr
1:	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14
	movdqa vec + 64 * \n(%rip), %xmm15
	pcmpeqd %xmm\n, %xmm15
	pmovmskb %xmm15, %eax
	cmpl $0xffff, %eax
	jne fail
	.endr
	checkothers
	jmp 1b

	.type check_avx2, @function
check_avx2:
	begin
	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14
	vmovdqa vec + 64 * \n(%rip), %ymm\n
	.endr
1:	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14
	vpcmpeqq vec + 64 * \n(%rip), %ymm\n, %ymm15
	vpmovmskb %ymm15, %eax
	cmpl $-1, %eax
	jne fail
	.endr
	checkothers
	jmp 1b

	.type check_avx512, @function
check_avx512:
	begin
	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vmovdqa64 vec + 64 * \n(%rip), %zmm\n
	.endr
	.irp n, 2,3,4,5,6,7
	kmovq mask + 8 * \n(%rip), %k\n
	.endr
1:	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vpcmpeqq vec + 64 * \n(%rip), %zmm\n, %k1
	kortestb %k1, %k1
	jnc fail
	.endr
	.irp n, 2,3,4,5,6,7
	kmovq %k\n, %rax
	cmpq mask + 8 * \n(%rip), %rax
	jne fail
	.endr
	checkothers
	jmp 1b

fail:	ud2
	.section .note.GNU-stack, "", @progbits
