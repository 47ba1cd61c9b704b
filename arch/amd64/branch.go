// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"debug/elf"
	"fmt"

	"github.com/ulpatch/ulpatch/arch"
)

// branchReloc looks at the opcode before the field. It can't be mistaken for the
// ModRM byte of a RIP-relative operand, which is 05, 0d, 15 .. 3d.
func branchReloc(typ uint32, code []byte, off int) bool {
	switch elf.R_X86_64(typ) {
	case elf.R_X86_64_PC32, elf.R_X86_64_PLT32:
	default:
		return false
	}
	if off < 1 || off > len(code) {
		return false
	}
	op := code[off-1]
	if op == 0xe8 || op == 0xe9 {
		return true
	}
	return op&0xf0 == 0x80 && off >= 2 && code[off-2] == 0x0f
}

func pcAdjust(code []byte, insnOff, relocOff int) (int64, error) {
	if insnOff < 0 || insnOff > len(code) {
		return 0, fmt.Errorf("instruction at %#x of %#x bytes: %w", insnOff, len(code), arch.ErrShort)
	}
	insn, err := decode(code[insnOff:], 0)
	if err != nil {
		return 0, fmt.Errorf("instruction at %#x: %w", insnOff, err)
	}
	field := relocOff - insnOff
	if field < 0 || field >= insn.Len {
		return 0, fmt.Errorf("instruction at %#x, %d bytes, does not hold the field at %#x: %w",
			insnOff, insn.Len, relocOff, arch.ErrPlace)
	}
	if !insn.PCRel || field != insn.FieldOff {
		return 0, nil
	}
	return int64(insn.Len - insn.FieldOff), nil
}

// accessReloc: a RIP-relative operand has no index, so what is read or written
// lies at the address itself. lea only computes it, and prefetch may be given
// any.
func accessReloc(_ uint32, code []byte, insnOff, relocOff int) bool {
	if insnOff < 0 || insnOff > len(code) {
		return false
	}
	insn, err := decode(code[insnOff:], 0)
	if err != nil || !insn.PCRel || insn.Kind != arch.Plain && insn.Kind != arch.IndirectCall && insn.Kind != arch.IndirectJump || insn.Nop || relocOff-insnOff != insn.FieldOff || insn.FieldOff < 2 {
		return false
	}
	const lea, escape, prefetchW, prefetch = 0x8d, 0x0f, 0x0d, 0x18
	op := code[relocOff-2]
	if insn.FieldOff >= 3 && code[relocOff-3] == escape && (op == prefetchW || op == prefetch) {
		return false
	}
	return op != lea
}
