// SPDX-License-Identifier: GPL-2.0-or-later

// Descriptors in the tiny code model, which lld and mold do not know.
	.text
	.globl	fixture_start
	.type	fixture_start, %function
fixture_start:
	.irp	v, tls_own, tls_other
	ldr	x1, :tlsdesc:\v
	adr	x0, :tlsdesc:\v
	.tlsdesccall \v
	blr	x1
	.endr
	ret

	.section .tbss, "awT", %nobits
	.balign	16
	.zero	24
	.globl	tls_own
	.hidden	tls_own
	.type	tls_own, %object
tls_own:
	.zero	8
