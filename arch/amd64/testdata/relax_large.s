# SPDX-License-Identifier: GPL-2.0-or-later

# The TLS sequences of -mcmodel=large, which lld and gold refuse to rewrite.
	.text
	.globl	fixture_start
	.type	fixture_start, @function
fixture_start:
	.irp	v, tls_own, tls_other
	.irp	base, rbx, r15
	lea	\v@TLSGD(%rip), %rdi
	movabs	$__tls_get_addr@PLTOFF, %rax
	add	%\base, %rax
	call	*%rax
	.endr
	.endr
	.irp	base, rbx, r15
	lea	tls_own@TLSLD(%rip), %rdi
	movabs	$__tls_get_addr@PLTOFF, %rax
	add	%\base, %rax
	call	*%rax
	.endr
	lea	tls_own@DTPOFF(%rax), %rdx
	ret

	.section .tbss, "awT", @nobits
	.balign	16
	.zero	24
	.globl	tls_own
	.hidden	tls_own
	.type	tls_own, @object
tls_own:
	.zero	8
