// SPDX-License-Identifier: GPL-2.0-or-later

// Package amd64 is the port for x86_64.
//
// The ABI document is "System V Application Binary Interface, AMD64
// Architecture Processor Supplement" (gitlab.com/x86-psABIs/x86-64-ABI);
// instructions are those of the Intel SDM, volume 2.
//
// # What is odd
//
// Instructions are 1 to 15 bytes long, at any alignment, so code can only be
// split by decoding it from a known start. A decoder needs to know the length of
// every instruction, whatever it does: insn.go is a table of nothing else.
//
// A PC-relative operand counts from the end of its instruction, but a relocation
// only knows where the field lies. The assembler puts the difference in the
// addend: -4 where the field ends the instruction, -5, -6 or -8 where an
// immediate follows. So S + A is not what the instruction refers to until the
// instruction has been decoded; that is what PCAdjust is for.
//
// Direct calls, direct jumps and memory operands all reach 2 GiB in either
// direction, but data has no way round where a 32-bit offset doesn't reach. So
// the whole payload is placed within Reach of the image, with a margin for the
// size of both, and only calls out of the image need stubs.
//
// Linkers rewrite instructions, not only fields: what went through the GOT in
// the object goes straight to its target in the image, and four kinds of access
// to thread-local variables turn into one another. relax.go lists these.
//
// Thread-local storage is variant II: the blocks lie below the thread pointer,
// that of the main executable nearest, so its offsets are negative.
//
// With CET (IBT) an indirect branch has to land on endbr64; a direct one has not.
package amd64

import (
	"debug/elf"

	"github.com/ulpatch/ulpatch/arch"
)

// Arch is the port.
var Arch = &arch.Arch{
	Name:    "amd64",
	Machine: elf.EM_X86_64,

	Relocs:    arch.Table(Relocs, relocName),
	RelocName: relocName,

	Decode:      decode,
	BranchReloc: branchReloc,
	AccessReloc: accessReloc,
	Effect:      effect,
	Constant:    constant,
	Bound:       bound,
	Displaced:   displaced,
	Sets:        sets,
	CalleeSaved: calleeSaved,
	Argument:    argument,
	Result:      result,
	StackBases:  []int{rsp, rbp},
	MovesStack:  movesStack,
	EndsInCall:  endsInCall,
	PCAdjust:    pcAdjust,
	Relax:       relax,
	FieldReloc:  fieldReloc,
	Trampoline:  trampoline,

	LandingPad: landingPad,
	Entry:      entry,
	Lands:      lands,
	Reach:      reach,

	JumpSize:      jumpSize,
	Jump:          jump,
	StubSize:      stubSize,
	Stub:          stub,
	CallAddend:    -4, // counted from the field, which ends the instruction
	TLSDescReturn: tlsDescReturn,
	TPOffset:      tpOffset,
	Regs:          regs,
	Syscall:       syscall,
	SigFrame:      sigFrame,
	Mangling:      mangling,

	Dynamic: arch.Dynamic{
		Relative:  uint32(elf.R_X86_64_RELATIVE),
		GlobDat:   uint32(elf.R_X86_64_GLOB_DAT),
		JumpSlot:  uint32(elf.R_X86_64_JMP_SLOT),
		Copy:      uint32(elf.R_X86_64_COPY),
		Abs64:     uint32(elf.R_X86_64_64),
		IRelative: uint32(elf.R_X86_64_IRELATIVE),
		DTPMod:    uint32(elf.R_X86_64_DTPMOD64),
		DTPOff:    uint32(elf.R_X86_64_DTPOFF64),
		TPOff:     uint32(elf.R_X86_64_TPOFF64),
		TLSDesc:   uint32(elf.R_X86_64_TLSDESC),
	},
}
