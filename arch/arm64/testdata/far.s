// SPDX-License-Identifier: GPL-2.0-or-later

// Calls that may be out of reach, or go through the PLT.
	.text
	.globl	fixture_start
fixture_start:
	bl	far
	bl	farther
	b	far
	ret
	bl	elsewhere

	.section .far, "ax", %progbits
	.globl	far
	.hidden	far
far:
	ret
	.globl	farther
	.hidden	farther
farther:
	ret
	.weak	elsewhere
