// SPDX-License-Identifier: GPL-2.0-or-later

// What relax.s refers to: linked in, or in a shared library of its own.
	.text
	.globl	elsewhere
	.type	elsewhere, %function
elsewhere:
	ret
	.globl	__tls_get_addr
	.type	__tls_get_addr, %function
__tls_get_addr:
	ret

	.section .tbss, "awT", %nobits
	.globl	tls_other
	.type	tls_other, %object
	.zero	4
tls_other:
	.zero	12
	.size	tls_other, 12
