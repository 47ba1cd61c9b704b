# SPDX-License-Identifier: GPL-2.0-or-later

# Every relocation that as emits and that a static link applies as it stands.
# The addresses of the value_* symbols are given to the linker.
	.section .fixture, "aw", @progbits
	.globl	fixture_start
fixture_start:
	.quad	value_64 + 0x11
	.long	value_32 + 0x11
	.byte	0x48, 0xc7, 0xc0		# mov $value_32s + 0x11, %rax
	.reloc	., R_X86_64_32S, value_32s + 0x11
	.long	0
	.word	value_16 + 0x11
	.byte	value_8 + 0x11
	.quad	value_64 - .
	.long	value_pc32 - . + 0x11
	lea	value_pc32(%rip), %rax
	cmpl	$7, value_pc32(%rip)
	.word	value_pc16 - . + 0x11
	.byte	value_pc8 - . + 0x11
	call	value_pc32@PLT
	jmp	value_pc32@PLT
	.long	slotted@GOTPCREL
	push	slotted@GOTPCREL(%rip)
	lea	_GLOBAL_OFFSET_TABLE_(%rip), %rbx
	movabs	$_GLOBAL_OFFSET_TABLE_ - ., %rbx
	movabs	$slotted@GOTOFF, %rax
	movabs	$value_64@GOTOFF, %rax
	movabs	$slotted@PLTOFF, %rax
	movabs	$slotted@GOT, %rax
	.quad	slotted@GOTPCREL
	.long	thread@TPOFF + 0x11
	mov	%fs:thread@TPOFF, %eax
	.quad	thread@TPOFF
	.long	thread@DTPOFF + 0x1
	.quad	thread@DTPOFF + 0x1
	.long	sized@SIZE + 1
	.quad	sized@SIZE + 1
	.reloc	., R_X86_64_NONE, slotted
	.zero	16
	.globl	fixture_end
fixture_end:

	.text
	.globl	slotted
	.type	slotted, @function
slotted:
	ret

	.data
	.globl	sized
	.type	sized, @object
sized:
	.zero	0x5a5a
	.size	sized, 0x5a5a

	.section .tbss, "awT", @nobits
	.balign	32
	.zero	0x1234
	.globl	thread
	.type	thread, @object
thread:
	.zero	12
