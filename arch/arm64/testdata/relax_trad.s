// SPDX-License-Identifier: GPL-2.0-or-later

// Calls of __tls_get_addr (-mtls-dialect=trad), which lld does not know.
	.text
	.globl	fixture_start
	.type	fixture_start, %function
fixture_start:
	.irp	v, tls_own, tls_other
	adrp	x0, :tlsgd:\v
	add	x0, x0, :tlsgd_lo12:\v
	bl	__tls_get_addr
	nop
	.endr
	.ifdef	LOCAL_DYNAMIC
	adrp	x0, :tlsldm:tls_own
	add	x0, x0, :tlsldm_lo12_nc:tls_own
	bl	__tls_get_addr
	nop
	add	x1, x0, :dtprel_hi12:tls_own, lsl 12
	add	x1, x1, :dtprel_lo12_nc:tls_own
	.endif
	ret

	.section .tbss, "awT", %nobits
	.balign	ALIGN
	.zero	24
	.globl	tls_own
	.hidden	tls_own
	.type	tls_own, %object
tls_own:
	.zero	8
