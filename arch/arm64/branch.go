// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/ulpatch/ulpatch/arch"
)

// branchReloc needs no look at the code: branches have types of their own.
func branchReloc(typ uint32, _ []byte, _ int) bool {
	switch elf.R_AARCH64(typ) {
	case elf.R_AARCH64_CALL26, elf.R_AARCH64_JUMP26, elf.R_AARCH64_CONDBR19, elf.R_AARCH64_TSTBR14:
		return true
	}
	return false
}

// accessReloc: a load or store with an offset of its own, which has no index.
// prfm may be given any address.
func accessReloc(typ uint32, code []byte, _, relocOff int) bool {
	w := wordAt(code, relocOff)
	switch elf.R_AARCH64(typ) {
	case elf.R_AARCH64_LDST8_ABS_LO12_NC, elf.R_AARCH64_LDST16_ABS_LO12_NC, elf.R_AARCH64_LDST32_ABS_LO12_NC,
		elf.R_AARCH64_LDST64_ABS_LO12_NC, elf.R_AARCH64_LDST128_ABS_LO12_NC:
		const prfm = 0xf9800000
		return w&0x3b000000 == 0x39000000 && w&0xffc00000 != prfm
	case elf.R_AARCH64_LD_PREL_LO19:
		const prfm = 0xd8000000
		return w&0x3b000000 == 0x18000000 && w&0xff000000 != prfm
	}
	return false
}

func fieldReloc(code []byte) (uint32, bool) {
	if len(code) < wordSize {
		return 0, false
	}
	c := classOf(binary.LittleEndian.Uint32(code))
	switch c.field {
	case &imm26:
		if c.kind == arch.Call {
			return uint32(elf.R_AARCH64_CALL26), true
		}
		return uint32(elf.R_AARCH64_JUMP26), true
	case &imm19:
		if c.kind == arch.Plain {
			return uint32(elf.R_AARCH64_LD_PREL_LO19), true
		}
		return uint32(elf.R_AARCH64_CONDBR19), true
	case &imm14:
		return uint32(elf.R_AARCH64_TSTBR14), true
	case &adr:
		return uint32(elf.R_AARCH64_ADR_PREL_LO21), true
	case &adrp:
		return uint32(elf.R_AARCH64_ADR_PREL_PG_HI21), true
	}
	return 0, false
}

// pcAdjust is always 0: operands count from the instruction, and so do
// relocations.
func pcAdjust(code []byte, insnOff, relocOff int) (int64, error) {
	switch {
	case insnOff < 0 || insnOff > len(code)-wordSize:
		return 0, fmt.Errorf("instruction at %#x of %#x bytes: %w", insnOff, len(code), arch.ErrShort)
	case relocOff < insnOff || relocOff >= insnOff+wordSize:
		return 0, fmt.Errorf("instruction at %#x does not hold the field at %#x: %w", insnOff, relocOff, arch.ErrPlace)
	}
	return 0, nil
}
