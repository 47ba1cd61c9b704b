# SPDX-License-Identifier: GPL-2.0-or-later

# Every instruction that a linker may rewrite, with every register. OLD is what
# assemblers made before GOTPCRELX.
	.text
	.globl	fixture_start
	.type	fixture_start, @function
fixture_start:

	.macro	each64 do:vararg
	.irp	r, rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15
	\do	\r
	.endr
	.endm
	.macro	each32 do:vararg
	.irp	r, eax, ebx, ecx, edx, esi, edi, ebp, esp, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d
	\do	\r
	.endr
	.endm

	.macro	got r
	mov	target@GOTPCREL(%rip), %\r
	mov	elsewhere@GOTPCREL(%rip), %\r
	.ifndef	OLD
	mov	fixed@GOTPCREL(%rip), %\r
	.endif
	mov	absent@GOTPCREL(%rip), %\r
	test	%\r, target@GOTPCREL(%rip)
	test	%\r, elsewhere@GOTPCREL(%rip)
	.irp	op, add, or, adc, sbb, and, sub, xor, cmp
	\op	target@GOTPCREL(%rip), %\r
	\op	elsewhere@GOTPCREL(%rip), %\r
	.endr
	push	target@GOTPCREL(%rip)
	.endm
	each64	got
	each32	got

	call	*target@GOTPCREL(%rip)
	call	*elsewhere@GOTPCREL(%rip)
	call	*absent@GOTPCREL(%rip)
	jmp	*target@GOTPCREL(%rip)
	jmp	*elsewhere@GOTPCREL(%rip)
	call	elsewhere@PLT
	jmp	elsewhere@PLT
	call	target
	cmpl	$7, variable(%rip)
	movb	$7, variable(%rip)
	movw	$7, variable(%rip)

	.macro	ie r
	mov	tls_own@GOTTPOFF(%rip), %\r
	mov	tls_other@GOTTPOFF(%rip), %\r
	add	tls_own@GOTTPOFF(%rip), %\r
	add	tls_other@GOTTPOFF(%rip), %\r
	.endm
	each64	ie

	.macro	desc r
	lea	tls_own@TLSDESC(%rip), %\r
	lea	tls_other@TLSDESC(%rip), %\r
	.endm
	each64	desc
	call	*tls_own@TLSCALL(%rax)
	call	*tls_other@TLSCALL(%rax)

	.irp	v, tls_own, tls_other
	data16 lea \v@TLSGD(%rip), %rdi
	.value	0x6666
	rex64 call __tls_get_addr@PLT

	.ifndef	OLD
	data16 lea \v@TLSGD(%rip), %rdi
	.byte	0x66
	rex64 call *__tls_get_addr@GOTPCREL(%rip)
	.endif
	.endr

	ret

	.globl	target
	.hidden	target
	.type	target, @function
target:
	ret

	.weak	absent
	.hidden	absent
	.globl	fixed
	.hidden	fixed
	.set	fixed, 0x1234

	.data
	.globl	variable
	.hidden	variable
variable:
	.quad	0
	.quad	tls_own@DTPOFF

	.section .tbss, "awT", @nobits
	.balign	16
	.zero	24
	.globl	tls_own
	.hidden	tls_own
	.type	tls_own, @object
tls_own:
	.zero	8
