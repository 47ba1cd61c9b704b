// SPDX-License-Identifier: GPL-2.0-or-later

// Package arm64 is the port for aarch64, little endian, LP64.
//
// The ABI documents are AAELF64, AAPCS64 and AADWARF64 (github.com/ARM-software/
// abi-aa); instructions are those of the Arm Architecture Reference Manual.
//
// # What is odd
//
// Every instruction has 4 bytes, so that code can be split anywhere, and a word
// that is not known is an instruction of a later extension. None has room for an
// address: adrp computes the page (4 KiB, whatever the page size of the kernel)
// and the next instruction adds the rest, each with a relocation of its own. What
// one of them tells of a symbol is a part; arch.Solve joins them.
//
// A relocation counts from its instruction, and so does the CPU, so that
// addends are what they seem to be, and PCAdjust is 0. Where a relocation leads
// to a slot, an addend would be that of what the slot holds: none is accepted.
//
// b and bl reach 128 MiB, adrp 4 GiB. A payload within Reach of the image calls
// and is jumped to directly. One that is further away, but within FarReach, gets
// at data as before, calls through stubs and is reached by far jumps.
//
// x16 and x17 belong to whoever gets between a call and the function (AAPCS64),
// and are what stubs and far jumps use.
//
// # Landing pads
//
// In memory that is mapped with PROT_BTI an indirect branch has to land on a
// pad: bti, or one of the instructions that sign the return address (paciasp).
// With br x16 any pad for calls or jumps will do. A direct branch needs none, so
// that neither a jump nor a call within Reach asks what the memory is. A far jump
// and a stub do: where the memory that they go to is guarded, Lands has to hold.
//
// A jump is written behind bti. A function that begins with paciasp may be called
// indirectly as well, through the PLT for one, and b in its place would not be a
// pad; nor may paciasp stay, for the new function signs the return address again.
// So bti c takes its place, with the jump behind it: 8 bytes, whether the memory
// is guarded or not, as bti does nothing elsewhere. A thread behind paciasp has
// begun with the function.
//
// # Return addresses
//
// They may be signed (pac-ret), in registers and on stacks: Strip them before
// they are compared with anything. A payload's code signs and checks its own.
//
// # Linkers
//
// bfd rewrites thread-local accesses and no others; lld and mold shorten what
// goes through the GOT, or to a near address, too. All avoid an erratum of the
// Cortex-A53 (843419) when asked, and Debian's gcc asks: an adrp in the last two
// words of a page becomes adr, or the load or store behind it moves to a veneer.
// The other erratum (835769) moves instructions that have no relocation; that
// is not recognised, and such a function differs from its object. A branch to an
// absent symbol becomes a nop; lld makes it one to the next instruction, which
// cannot be told from a call of the function that is there.
//
// # Thread-local storage
//
// Variant I: the blocks lie above the thread pointer, that of the main executable
// nearest. With -fPIC it is reached by descriptors, even where it is static.
//
// # The kernel
//
// A thread that is stopped by PTRACE_INTERRUPT in a system call stands on its
// svc again, with x0 as it was (Rewound): nothing tells that it was in one, nor
// whether the kernel meant to go on with a wait that was cut short
// (restart_syscall). At the exit of the call, where a tracer that was there at its
// entry stops it, the result still says so (Interrupted). In the stops at the entry and exit of a system call x7 is
// the kernel's, and what is written to it is lost. A system call keeps the lower
// 128 bits of the vector registers only (Volatile), and ends streaming mode.
//
// The vDSO has the code that returns from a signal handler. It has no call-frame
// information, or, before Linux 5.8, one that leaves out the function that was
// interrupted: Restorers come first.
package arm64

import (
	"debug/elf"

	"github.com/ulpatch/ulpatch/arch"
)

// Arch is the port.
var Arch = &arch.Arch{
	Name:    "arm64",
	Machine: elf.EM_AARCH64,

	Relocs:    arch.Table(Relocs, relocName),
	RelocName: relocName,

	Decode:      decode,
	BranchReloc: branchReloc,
	FieldReloc:  fieldReloc,
	AccessReloc: accessReloc,
	Constant:    constant,
	Displaced:   displaced,
	Sets:        sets,
	Effect:      effect,
	Bound:       bound,
	CalleeSaved: calleeSaved,
	Argument:    argument,
	Result:      result,
	StackBases:  []int{dwarfFP, dwarfSP},
	MovesStack:  movesStack,
	EndsInCall:  endsInCall,
	PCAdjust:    pcAdjust,
	Relax:       relax,
	Trampoline:  trampoline,

	LandingPad: landingPad,
	Entry:      entry,
	Lands:      lands,
	Reach:      reach,
	FarReach:   farReach,

	JumpSize:      jumpSize,
	Jump:          jump,
	FarJumpSize:   farJumpSize,
	FarJump:       farJump,
	StubSize:      stubSize,
	Stub:          stub,
	CallAddend:    0,
	TLSDescReturn: tlsDescReturn,
	TPOffset:      tpOffset,
	Regs:          regs,
	Syscall:       syscall,
	SigFrame:      sigFrame,
	Mangling:      mangling,

	Dynamic: arch.Dynamic{
		Relative:  uint32(elf.R_AARCH64_RELATIVE),
		GlobDat:   uint32(elf.R_AARCH64_GLOB_DAT),
		JumpSlot:  uint32(elf.R_AARCH64_JUMP_SLOT),
		Copy:      uint32(elf.R_AARCH64_COPY),
		Abs64:     uint32(elf.R_AARCH64_ABS64),
		IRelative: uint32(elf.R_AARCH64_IRELATIVE),
		DTPMod:    uint32(elf.R_AARCH64_TLS_DTPMOD64),
		DTPOff:    uint32(elf.R_AARCH64_TLS_DTPREL64),
		TPOff:     uint32(elf.R_AARCH64_TLS_TPREL64),
		TLSDesc:   uint32(elf.R_AARCH64_TLSDESC),
	},
}
