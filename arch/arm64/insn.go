// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"encoding/binary"
	"fmt"

	"github.com/ulpatch/ulpatch/arch"
)

// class is a group of instructions that differ only outside mask, in which they
// are value.
type class struct {
	mask, value uint32
	kind        arch.Kind
	field       *arch.Field // of the PC-relative operand; nil: none
}

// imm9 is the field of cb<cc>, compare and branch (FEAT_CMPBR).
var imm9 = bitField(5, 9, 2, true)

// classes are what is not Plain, or has a PC-relative operand. The first that
// matches counts. Names are those of the Arm ARM, C4.1, "A64 instruction set
// encoding".
var classes = []class{
	{0xffff0000, 0x00000000, arch.Stop, nil}, // udf, and zeroed memory
	{0xffe0001f, 0xd4200000, arch.Stop, nil}, // brk
	{0xffe0001f, 0xd4400000, arch.Stop, nil}, // hlt

	{0xfc000000, 0x14000000, arch.Jump, &imm26},
	{0xfc000000, 0x94000000, arch.Call, &imm26},
	{0xff000000, 0x54000000, arch.CondJump, &imm19}, // b.cond, bc.cond
	{0x7e000000, 0x34000000, arch.CondJump, &imm19}, // cbz, cbnz
	{0x7e000000, 0x36000000, arch.CondJump, &imm14}, // tbz, tbnz
	{0x7e000000, 0x74000000, arch.CondJump, &imm9},  // cb<cc>, of registers and immediates

	{0xfffffc1f, 0xd61f0000, arch.IndirectJump, nil}, // br
	{0xfffff81f, 0xd61f081f, arch.IndirectJump, nil}, // braaz, brabz
	{0xfffff800, 0xd71f0800, arch.IndirectJump, nil}, // braa, brab
	{0xfffffc1f, 0xd63f0000, arch.IndirectCall, nil}, // blr
	{0xfffff81f, 0xd63f081f, arch.IndirectCall, nil}, // blraaz, blrabz
	{0xfffff800, 0xd73f0800, arch.IndirectCall, nil}, // blraa, blrab
	{0xfffffc1f, 0xd65f0000, arch.Return, nil},       // ret
	{0xfffffbe0, 0xd65f0be0, arch.Return, nil},       // retaa, retab, retaasppcr, retabsppcr
	{0xffc0001f, 0x5500001f, arch.Return, nil},       // retaasppc, retabsppc
	{0xffffffff, 0xd69f03e0, arch.Return, nil},       // eret
	{0xfffffbff, 0xd69f0bff, arch.Return, nil},       // eretaa, eretab

	{0x9f000000, 0x10000000, arch.Plain, &adr},
	{0x9f000000, 0x90000000, arch.Plain, &adrp},
	{0xff000000, 0xdc000000, arch.Plain, nil},    // not allocated among these:
	{0x3b000000, 0x18000000, arch.Plain, &imm19}, // ldr, ldrsw, prfm of a literal
}

func classOf(word uint32) class {
	for _, c := range classes {
		if word&c.mask == c.value {
			return c
		}
	}
	return class{}
}

const nop = 0xd503201f

// decode knows branches and PC-relative operands. Every word is an instruction
// of four bytes: those that are not known are of extensions that came later, and
// those compute.
func decode(code []byte, pc arch.Addr) (arch.Insn, error) {
	if len(code) < wordSize {
		return arch.Insn{}, fmt.Errorf("% x: %w", code, arch.ErrShort)
	}
	word := binary.LittleEndian.Uint32(code)
	c := classOf(word)
	insn := arch.Insn{Len: wordSize, Kind: c.kind, Nop: word == nop}
	if c.field == nil {
		return insn, nil
	}
	insn.PCRel, insn.FieldLen = true, wordSize
	if c.field == &adrp {
		pc &^= 0xfff
	}
	insn.Target = pc + arch.Addr(c.field.Get(code))
	return insn, nil
}

// endsInCall knows bl and blr.
func endsInCall(code []byte) bool {
	if len(code) < wordSize {
		return false
	}
	kind := classOf(binary.LittleEndian.Uint32(code[len(code)-wordSize:])).kind
	return kind == arch.Call || kind == arch.IndirectCall
}
