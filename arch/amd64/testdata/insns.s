# SPDX-License-Identifier: GPL-2.0-or-later

# Instructions of every encoding, beside what libraries hold.
	.text
start:
# control flow
	endbr64
	notrack jmp *%rax
	jmp	*(%rip)
	call	*8(%rip)
	call	*%r12
	jmp	*(%r13, %rcx, 8)
	lcall	*(%rax)
	ljmp	*16(%rip)
	rex.W ljmp *(%r8)
	lretl
	lretl	$16
	ret
	ret	$8
	repz ret
	bnd ret
	bnd jmp	start
	bnd call start
	bnd jne	far
	iretl
	iretq
	sysretl
	sysretq
	sysexitl
	uiret
	syscall
	sysenter
	loop	start
	loope	start
	loopne	start
	jrcxz	start
	jecxz	1f
1:	jne,pt	far
	je,pn	far
	xbegin	start
	xabort	$1
	xend
	ud2
	ud1	(%rax), %ecx
	ud0	4(%rip), %ecx
	hlt
	int3
	int1
	int	$0x80
# immediates behind a RIP-relative operand of another object
	cmpb	$1, outside(%rip)
	cmpw	$0x1234, outside(%rip)
	cmpl	$0x12345678, outside(%rip)
	cmpq	$0x12345678, outside(%rip)
	testb	$1, outside(%rip)
	testw	$0x1234, outside(%rip)
	testl	$0x12345678, outside(%rip)
	testq	$0x12345678, outside(%rip)
	notl	outside(%rip)
	movw	$0x1234, outside(%rip)
	movl	$0x12345678, outside(%rip)
	imul	$0x12345678, outside(%rip), %eax
	imul	$0x1234, outside(%rip), %ax
	imul	$3, outside(%rip), %rax
	shll	$3, outside(%rip)
	shld	$3, %eax, outside(%rip)
	btl	$3, outside(%rip)
	pshufd	$0x1b, outside(%rip), %xmm1
	vpshufd	$0x1b, outside(%rip), %ymm1
	vpternlogd $0xff, outside(%rip), %zmm1, %zmm2
	palignr	$4, outside(%rip), %xmm1
	lea	outside(%eip), %eax
	lea	outside(%rip), %rax
	call	*outside(%rip)
	jmp	*outside(%rip)
# branches to another object
	call	outside
	jmp	outside
	bnd jmp	outside
	jne	outside
	.byte	0x66, 0x66
	rex.W call outside
	movl	$outside - ., %eax
# immediates and addresses of every size
	mov	$1, %al
	mov	$0x1234, %ax
	mov	$0x12345678, %eax
	mov	$-1, %rax
	movabs	$0x123456789abcdef0, %r11
	movabs	0x123456789abcdef0, %al
	movabs	%rax, 0x123456789abcdef0
	movabs	0x123456789abcdef0, %ax
	addr32 mov 0x12345678, %eax
	push	$1
	push	$0x12345678
	pushw	$0x1234
	enter	$0x1234, $5
	leave
	in	$0x60, %al
	out	%eax, $0x61
	add	$0x1234, %ax
	add	$0x12345678, %rax
	pop	8(%rsp)
	mov	%fs:0, %rax
	mov	%gs:0x12345678(,%rax,4), %eax
	mov	(%rbp), %eax
	mov	(%r13, %rbp, 2), %eax
	mov	0x12345678(%r12), %eax
	mov	(,%rax,8), %rax
	mov	(%esp), %eax
# prefixes
	lock cmpxchg16b (%rdi)
	lock addl $1, (%rax)
	xacquire lock addl $1, (%rax)
	rep movsb
	repne scasb
	rep stosq
	repz cmpsb
	cs nop
	.byte	0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0
	pause
	xchg	%ax, %ax
	xchg	%r8, %rax
	fwait
	fnstcw	(%rax)
	fxsave64 (%rax)
# system and miscellaneous
	mov	%cr3, %rax
	mov	%r9, %cr8
	mov	%rax, %dr7
	cpuid
	rdtscp
	rdrand	%rax
	rdfsbase %rax
	wrgsbase %rax
	rdpid	%rax
	rdsspq	%rax
	incsspq	%rax
	saveprevssp
	rstorssp (%rax)
	wrssq	%rax, (%rbx)
	clac
	swapgs
	vmcall
	monitor
	xsavec64 (%rax)
	xrstors	(%rax)
	clwb	(%rax)
	clflushopt (%rax)
	prefetchw (%rax)
	prefetchwt1 (%rax)
	movdiri	%eax, (%rbx)
	movdir64b (%rax), %rbx
	enqcmd	(%rax), %rbx
	tpause	%eax
	umwait	%eax
	serialize
	cldemote (%rax)
	ptwrite	%rax
	invpcid	(%rax), %rbx
	getsec
	movbe	(%rax), %rbx
	crc32q	(%rax), %rbx
	popcnt	%ax, %bx
	lzcnt	%rax, %rbx
	tzcnt	%eax, %ebx
	adcx	%rax, %rbx
	adox	(%rax), %rbx
	pfadd	%mm0, %mm1
	extrq	$1, $2, %xmm0
	insertq	$1, $2, %xmm0, %xmm1
	movntss	%xmm0, (%rax)
# MPX
	bndmk	(%rax), %bnd0
	bndmov	(%rip), %bnd1
	bndcl	(%rax), %bnd0
	bndldx	(%rax, %rbx), %bnd0
	bndstx	%bnd0, (%rax, %rbx)
# x87
	fld	%st(1)
	fldt	(%rax)
	fstpt	8(%rip)
	fcomip	%st(1), %st
	fnstsw	%ax
# SSE, AES, SHA, GFNI
	movss	(%rip), %xmm0
	cmpps	$1, (%rax), %xmm0
	pinsrw	$1, %eax, %xmm0
	pextrw	$1, %xmm0, %eax
	shufps	$1, %xmm0, %xmm1
	psllw	$1, %xmm0
	roundsd	$1, %xmm0, %xmm1
	pcmpistri $1, (%rip), %xmm1
	blendvps %xmm0, %xmm1, %xmm2
	aesenc	%xmm0, %xmm1
	aeskeygenassist $1, %xmm0, %xmm1
	aesenc128kl (%rax), %xmm0
	pclmulqdq $1, %xmm0, %xmm1
	sha1rnds4 $1, %xmm0, %xmm1
	sha256msg1 %xmm0, %xmm1
	gf2p8affineqb $1, %xmm0, %xmm1
	ldmxcsr	(%rip)
	maskmovdqu %xmm0, %xmm1
# BMI, TBM, XOP, FMA4
	andn	(%rip), %rax, %rbx
	bextr	%rax, (%rbx), %rcx
	pdep	%rax, %rbx, %rcx
	mulx	(%rip), %rbx, %rcx
	rorx	$3, (%rip), %rcx
	blsr	%rax, %rbx
	bextr	$0x12345678, (%rip), %eax
	blcfill	%rax, %rbx
	vprotd	$1, (%rip), %xmm1
	vpperm	%xmm0, %xmm1, %xmm2, %xmm3
	vfrczpd	%xmm0, %xmm1
	vfmaddps %xmm0, (%rip), %xmm2, %xmm3
# AVX, AVX2, FMA, F16C, VAES, VNNI, AMX
	vzeroupper
	vzeroall
	vmovaps	(%rip), %ymm0
	vaddps	(%r12), %ymm8, %ymm15
	vcmppd	$1, (%rip), %ymm0, %ymm1
	vinsertf128 $1, (%rip), %ymm0, %ymm1
	vpermq	$1, (%rip), %ymm1
	vpgatherdd %xmm0, (%rax, %xmm1, 4), %xmm2
	vmaskmovps (%rax), %ymm0, %ymm1
	vblendvpd %ymm0, (%rip), %ymm2, %ymm3
	vfmadd231sd (%rip), %xmm0, %xmm1
	vcvtph2ps (%rip), %ymm0
	vcvtps2ph $1, %ymm0, (%rip)
	vaesenc	%ymm0, %ymm1, %ymm2
	vpclmulqdq $1, %ymm0, %ymm1, %ymm2
	{vex} vpdpbusd %ymm0, %ymm1, %ymm2
	vldmxcsr (%rax)
	vpsllw	$1, %ymm0, %ymm1
	kmovq	%rax, %k1
	kandw	%k0, %k1, %k2
	kshiftlq $1, %k0, %k1
	ldtilecfg (%rax)
	tileloadd (%rax, %rbx), %tmm0
	tdpbssd	%tmm0, %tmm1, %tmm2
	tilerelease
# AVX-512
	vmovups	(%rip), %zmm0
	vmovdqu8 64(%rax), %zmm16{%k1}{z}
	vaddpd	{rn-sae}, %zmm0, %zmm1, %zmm2
	vaddps	(%rax){1to16}, %zmm0, %zmm31
	vcmpps	$1, (%rip), %zmm0, %k1
	vpsrld	$1, (%rip), %zmm0
	vpscatterdd %zmm0, (%rax, %zmm1, 4){%k1}
	vpternlogq $1, 0x12345678(%rax), %ymm17, %ymm18
	vextracti32x4 $1, %zmm0, (%rip)
	vpmultishiftqb (%rip), %zmm0, %zmm1
	vpopcntd %zmm0, %zmm1
	vp2intersectd %zmm0, %zmm1, %k0
	vdpbf16ps %zmm0, %zmm1, %zmm2
	vcvttss2usi (%rip), %rax
	vaddph	(%rip), %zmm0, %zmm1
	vfmadd132ph %zmm0, %zmm1, %zmm2
	vcmpph	$1, %zmm0, %zmm1, %k1
	vmovsh	(%rip), %xmm0
# what fills space
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 31
	.nops	\n
	int3
	.endr
	.p2align 6
	nopw	%ax
	nopl	(%rax)
far:
	ret
