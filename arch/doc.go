// SPDX-License-Identifier: GPL-2.0-or-later

// Package arch holds the facts of a CPU and its ABI as data and pure functions:
// how a relocation is computed and stored, how a jump is encoded, how an
// instruction is decoded, where a register lies, what a signal frame looks like.
// It opens no files, sees no processes and uses no unsafe code, so that every
// port is compiled and tested on any host.
//
// # Glossary
//
// The letters are those of the psABI documents:
//
//	S    value of the symbol: an address in the target
//	A    addend
//	P    place: the address in the target of the bytes that are relocated
//	X    the computed value, before it is checked and stored
//	G    address of the slot that was made for the symbol (a GOT entry)
//	GOT  base address of the payload's own table of slots
//	L    address of a stub that jumps to S, where S is out of reach
//	V    present contents of the place (ADD and SUB pairs)
//	TP   offset of a thread-local symbol from the thread pointer
//	DTP  offset of a thread-local symbol in its module's TLS block
//
// A howto is one row of a relocation table: expression, check, field.
//
// # Adding a port
//
// Copy the file names of package amd64, or of arm64 where instructions are of one
// size (doc.go, reloc.go, relax.go, insn.go, branch.go, jump.go, regs.go,
// sigframe.go), fill an Arch value, list it in package all. Their tests show what
// has to hold: the system linker, objdump, the decoders of golang.org/x/arch and
// the kernel's headers are the oracles.
package arch
