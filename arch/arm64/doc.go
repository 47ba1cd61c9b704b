// SPDX-License-Identifier: GPL-2.0-or-later

// Package arm64 is the port for aarch64, little endian, LP64.
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
