# SPDX-License-Identifier: GPL-2.0-or-later

# Relocations that a linker leaves as they are only in a shared library.
	.section .fixture, "ax", @progbits
	.globl	fixture_start
fixture_start:
	mov	slotted@GOTPCREL(%rip), %rax
	mov	slotted@GOTPCREL(%rip), %eax
	call	*slotted@GOTPCREL(%rip)
	.long	slotted@GOTPCREL
	movabs	$slotted@GOT, %rax
	.quad	slotted@GOTPCREL
	call	slotted@PLT
	movabs	$slotted@PLTOFF, %rax
	lea	_GLOBAL_OFFSET_TABLE_(%rip), %rbx
	movabs	$_GLOBAL_OFFSET_TABLE_ - ., %rbx
	movabs	$own@GOTOFF, %rax
	lea	own(%rip), %rax
	movabs	$own - ., %rax
	mov	thread_ie@GOTTPOFF(%rip), %rax
	add	own_ie@GOTTPOFF(%rip), %rax
	data16 lea thread@TLSGD(%rip), %rdi
	.value	0x6666
	rex64 call __tls_get_addr@PLT
	data16 lea own_thread@TLSGD(%rip), %rdi
	.value	0x6666
	rex64 call __tls_get_addr@PLT
	lea	own_thread@TLSLD(%rip), %rdi
	call	__tls_get_addr@PLT
	lea	own_thread@DTPOFF(%rax), %rdx
	lea	thread_desc@TLSDESC(%rip), %rax
	call	*thread_desc@TLSCALL(%rax)
	.globl	fixture_end
fixture_end:

	.data
	.globl	own
	.hidden	own
own:
	.quad	0

	.section .tbss, "awT", @nobits
	.balign	32
	.zero	0x234
	.globl	own_thread
	.hidden	own_thread
	.type	own_thread, @object
own_thread:
	.zero	12
	.globl	own_ie
	.hidden	own_ie
	.type	own_ie, @object
own_ie:
	.zero	4
