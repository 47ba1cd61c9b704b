# SPDX-License-Identifier: GPL-2.0-or-later

# Local-dynamic TLS. mold rewrites it in a way of its own, which is not accepted.
	.text
	.globl	fixture_start
	.type	fixture_start, @function
fixture_start:
	lea	tls_own@TLSLD(%rip), %rdi
	call	__tls_get_addr@PLT
	lea	tls_own@DTPOFF(%rax), %rdx

	lea	tls_own@TLSLD(%rip), %rdi
	call	*__tls_get_addr@GOTPCREL(%rip)
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
