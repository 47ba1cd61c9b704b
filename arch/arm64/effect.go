// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"encoding/binary"
	"math/bits"

	"github.com/ulpatch/ulpatch/arch"
)

// Register 31 of an instruction is the stack pointer in some places and the
// constant 0 in others; in effects it is the stack pointer, as in DWARF.
const (
	linkRegister = dwarfLR
	stackPointer = dwarfSP
)

func calleeSaved(reg int) bool { return reg >= 19 && reg <= 29 || reg == stackPointer }

// argument: x8 tells where a large result goes (AAPCS64, 6.8.2 and 6.9).
func argument(reg int) bool { return reg <= 8 }

// result: one of up to 16 bytes.
func result(reg int) bool { return reg <= 1 }

// word is an instruction.
type word uint32

// field is the n bits from bit lo on.
func (w word) field(lo, n uint) int { return int(w >> lo & (1<<n - 1)) }

func (w word) bit(n uint) bool { return w>>n&1 != 0 }

// signed is the field with its sign.
func (w word) signed(lo, n uint) int64 { return int64(w.field(lo, n)) << (64 - n) >> (64 - n) }

// width is what bit 31 tells of an operation, in bits.
func (w word) width() int { return 32 << w.field(31, 1) }

// Registers of an instruction, by the names of the Arm ARM.
func (w word) rd() int { return w.field(0, 5) }
func (w word) rn() int { return w.field(5, 5) }
func (w word) rm() int { return w.field(16, 5) }
func (w word) ra() int { return w.field(10, 5) }

func immediate(v int64) arch.Operand {
	return arch.Operand{Kind: arch.Immediate, Imm: v, Base: -1, Index: -1}
}

// orStack is a register, of which 31 is the stack pointer.
func orStack(reg, bits int) arch.Operand {
	return arch.Operand{Kind: arch.Register, Reg: reg, Bits: bits, Base: -1, Index: -1}
}

// orZero is a register, of which 31 is 0.
func orZero(reg, bits int) arch.Operand {
	if reg == 31 {
		return immediate(0)
	}
	return orStack(reg, bits)
}

// Scratch registers.
const first, second = arch.Scratch, arch.Scratch + 1

func scratch(reg, bits int) arch.Operand { return orStack(reg, bits) }

// into is a step that sets a register. Nothing is left of one that sets 31, where
// that is 0, but its flags.
func into(dst arch.Operand, op arch.Op, left, src arch.Operand) arch.Effect {
	e := arch.Effect{Op: op, Bits: dst.Bits, Dst: dst, Left: left, Src: src, ImmAt: -1}
	if dst.Kind != arch.Register {
		e.Op, e.Dst = arch.OpNone, arch.Operand{}
	}
	return e
}

var nothing = []arch.Effect{{ImmAt: -1}}

// flags is a step that changes them to something that tells nothing.
var flags = arch.Effect{Flags: true, ImmAt: -1}

func made(dst, left, src arch.Operand) []arch.Effect {
	return []arch.Effect{into(dst, arch.OpUnknown, left, src)}
}

// effect is arch.Arch.Effect. The groups are those of the Arm ARM, C4.1, "A64
// instruction set encoding".
func effect(code []byte) ([]arch.Effect, bool) {
	if len(code) < wordSize {
		return nil, false
	}
	w := word(binary.LittleEndian.Uint32(code))
	switch w.field(25, 4) {
	case 0b1000, 0b1001:
		return w.dataImmediate()
	case 0b1010, 0b1011:
		return w.branchOrSystem()
	case 0b0100, 0b0110, 0b1100, 0b1110:
		return w.loadOrStore()
	case 0b0101, 0b1101:
		return w.dataRegister()
	case 0b0111, 0b1111:
		return w.vector()
	}
	return nil, false // reserved, SME, SVE
}

// dataImmediate: C4.1.92, "Data Processing -- Immediate".
func (w word) dataImmediate() ([]arch.Effect, bool) {
	size := w.width()
	switch w.field(23, 3) {
	case 0b000, 0b001: // adr, adrp
		at := arch.Operand{Kind: arch.Memory, Base: -1, Index: -1, Counter: true}
		return []arch.Effect{into(orZero(w.rd(), 64), arch.OpAddress, arch.Operand{}, at)}, true
	case 0b010: // add, sub
		imm := immediate(int64(w.field(10, 12)))
		if w.bit(22) {
			imm.Imm <<= 12
		}
		return w.addOrSubtract(orStack(w.rd(), size), orStack(w.rn(), size), imm, true), true
	case 0b100: // logical
		imm, ok := w.bitmask()
		if !ok {
			return nil, false
		}
		return w.logical(orStack(w.rd(), size), orZero(w.rn(), size), immediate(imm)), true
	case 0b101:
		return w.moveWide()
	case 0b110:
		return w.bits()
	case 0b111: // extr
		return made(orZero(w.rd(), size), orZero(w.rn(), size), orZero(w.rm(), size)), w.field(29, 2) == 0 && w.bit(22) == w.bit(31) && !w.bit(21) && (size == 64 || !w.bit(15))
	}
	return nil, false // with tags; minimum, maximum
}

// addOrSubtract: bit 30 tells which, bit 29 whether the flags are set, and then
// register 31 is no result.
func (w word) addOrSubtract(dst, left, src arch.Operand, imm bool) []arch.Effect {
	op := arch.OpAdd
	if w.bit(30) {
		op = arch.OpSub
	}
	var steps []arch.Effect
	if w.bit(29) {
		dst = orZero(w.rd(), dst.Bits)
		compare := flags
		if op == arch.OpSub {
			compare.Op, compare.Bits, compare.Left, compare.Src = arch.OpCompare, w.width(), left, src
		}
		steps = append(steps, compare)
	}
	e := into(dst, op, left, src)
	if imm && w.field(21, 2) == 0 {
		e.ImmAt = 0
	}
	if e.Op == arch.OpNone {
		return steps
	}
	return append(steps, e)
}

// logical: opc in bits 30 and 29 is and, orr, eor, ands.
func (w word) logical(dst, left, src arch.Operand) []arch.Effect {
	switch opc := w.field(29, 2); {
	case opc == 0b11:
		return []arch.Effect{into(orZero(w.rd(), dst.Bits), arch.OpAnd, left, src), flags}
	case opc == 0b00:
		return []arch.Effect{into(dst, arch.OpAnd, left, src)}
	case opc == 0b01 && left == immediate(0):
		return []arch.Effect{into(dst, arch.OpMove, arch.Operand{}, src)}
	}
	return made(dst, left, src)
}

// bitmask is DecodeBitMasks of the Arm ARM for an immediate.
func (w word) bitmask() (int64, bool) {
	n, r, s := w.field(22, 1), w.field(16, 6), w.field(10, 6)
	length := bits.Len(uint(n<<6|^s&0x3f)) - 1
	if length < 1 || w.width() == 32 && n != 0 {
		return 0, false
	}
	size := uint(1) << uint(length)
	ones, turn := uint(s)&(size-1)+1, uint(r)&(size-1)
	if ones == size {
		return 0, false
	}
	one := uint64(1)<<ones - 1
	one = one>>turn | one<<(size-turn)
	if size < 64 {
		one &= 1<<size - 1
	}
	for ; size < uint(w.width()); size *= 2 {
		one |= one << size
	}
	return int64(one), true
}

// moveWide: opc is movn, -, movz, movk.
func (w word) moveWide() ([]arch.Effect, bool) {
	size, shift := w.width(), uint(16*w.field(21, 2))
	dst := orZero(w.rd(), size)
	v := uint64(w.field(5, 16)) << shift
	switch opc := w.field(29, 2); {
	case int(shift) >= size || opc == 0b01:
		return nil, false
	case opc == 0b11:
		return made(dst, dst, immediate(0)), true
	case opc == 0b00:
		v = ^v
		if size == 32 {
			v &= 1<<32 - 1
		}
	}
	e := into(dst, arch.OpMove, arch.Operand{}, immediate(int64(v)))
	e.ImmAt = 0
	return []arch.Effect{e}, true
}

// bits: sbfm, bfm and ubfm, by which shifts and extensions are made as well.
func (w word) bits() ([]arch.Effect, bool) {
	size := w.width()
	r, s := w.field(16, 6), w.field(10, 6)
	if w.bit(22) != w.bit(31) || r >= size || s >= size || w.field(29, 2) == 0b11 {
		return nil, false
	}
	dst, src := orZero(w.rd(), size), orZero(w.rn(), size)
	const sbfm, bfm, ubfm = 0b00, 0b01, 0b10
	shift, mask := func(n int) arch.Operand { return immediate(int64(n)) }, immediate(int64(uint64(1)<<uint(s+1)-1))
	if s == 63 {
		mask = immediate(-1)
	}
	switch opc := w.field(29, 2); {
	case opc == bfm:
		return made(dst, dst, src), true
	case opc == ubfm && s == size-1: // lsr
		return []arch.Effect{into(dst, arch.OpRight, src, shift(r))}, true
	case opc == ubfm && s+1 == r: // lsl
		return []arch.Effect{into(dst, arch.OpLeft, src, shift(size-r))}, true
	case opc == ubfm && s >= r: // ubfx
		return []arch.Effect{
			into(scratch(first, size), arch.OpAnd, src, mask),
			into(dst, arch.OpRight, scratch(first, size), shift(r)),
		}, true
	case opc == ubfm: // ubfiz
		return []arch.Effect{
			into(scratch(first, size), arch.OpAnd, src, mask),
			into(dst, arch.OpLeft, scratch(first, size), shift(size-r)),
		}, true
	case s == size-1 && r == 0:
		return []arch.Effect{into(dst, arch.OpMove, arch.Operand{}, src)}, true
	case s < r && (s == 7 || s == 15 || s == 31) || r == 0: // sbfiz, sxtb, sxth, sxtw
		if src.Kind != arch.Register || s != 7 && s != 15 && s != 31 {
			return made(dst, src, immediate(0)), true
		}
		narrow := src
		narrow.Bits = s + 1
		if r == 0 {
			return []arch.Effect{into(dst, arch.OpSign, arch.Operand{}, narrow)}, true
		}
		return []arch.Effect{
			into(scratch(first, size), arch.OpSign, arch.Operand{}, narrow),
			into(dst, arch.OpLeft, scratch(first, size), shift(size-r)),
		}, true
	}
	return made(dst, src, immediate(0)), true
}

// branchOrSystem: C4.1.93, "Branches, Exception Generating and System
// instructions".
func (w word) branchOrSystem() ([]arch.Effect, bool) {
	switch classOf(uint32(w)).kind {
	case arch.Call, arch.IndirectCall:
		return []arch.Effect{{Op: arch.OpCall, ImmAt: -1}}, true
	case arch.Jump, arch.CondJump, arch.IndirectJump, arch.Return, arch.Stop:
		return nothing, true
	}
	switch {
	case w&0xfffff01f == 0xd503201f:
		return w.hint()
	case w&0xfffff01f == 0xd503301f && w.field(5, 3) >= 2 && w.field(5, 3) <= 6: // clrex, dsb, dmb, isb
		return nothing, true
	case w&0xfff00000 == 0xd5300000: // mrs
		return made(orZero(w.rd(), 64), arch.Operand{}, arch.Operand{}), true
	case w&0xfff00000 == 0xd5100000: // msr
		return []arch.Effect{flags}, true
	}
	return nil, false
}

// hint: those that sign or check an address in a register change it.
func (w word) hint() ([]arch.Effect, bool) {
	const x17 = 17
	changes := func(reg int) []arch.Effect { return made(orStack(reg, 64), orStack(reg, 64), arch.Operand{}) }
	switch n := w.field(5, 7); {
	case n == 7, n >= 24 && n <= 31: // xpaclri, paciasp and its like
		return changes(linkRegister), true
	case n == 8, n == 10, n == 12, n == 14: // pacia1716
		return changes(x17), true
	case n <= 6, n >= 16 && n <= 22, n >= 32 && n <= 38: // nop, barriers, bti
		return nothing, true
	}
	return nil, false
}

// vector: C4.1.96, "Data Processing -- Scalar Floating-Point and Advanced SIMD".
// What goes from or to a general register is lost.
func (w word) vector() ([]arch.Effect, bool) {
	const x = 64
	rd, rn := orZero(w.rd(), x), orZero(w.rn(), x)
	from := func() ([]arch.Effect, bool) {
		return []arch.Effect{{Op: arch.OpUnknown, Left: rn, ImmAt: -1}}, true
	}
	to := func() ([]arch.Effect, bool) { return made(rd, arch.Operand{}, arch.Operand{}), true }
	scalar := w.field(24, 5) == 0b11110 && !w.bit(29) && !w.bit(30)
	switch {
	case scalar && w.bit(21) && w.field(10, 6) == 0, scalar && !w.bit(21): // conversions of integers, of fixed-point numbers
		switch opcode := w.field(16, 3); opcode {
		case 0b010, 0b011, 0b111:
			return from()
		default:
			return to()
		}
	case scalar && w.bit(21) && w.field(10, 4) == 0b1000, scalar && w.bit(21) && w.field(10, 2) == 0b01: // fcmp, fccmp
		return []arch.Effect{flags}, true
	case w.field(21, 8) == 0b01110000 && !w.bit(31) && !w.bit(29) && !w.bit(15) && w.bit(10): // copies
		switch w.field(11, 4) {
		case 0b0001, 0b0011: // dup, ins
			return from()
		case 0b0101, 0b0111: // smov, umov
			return to()
		}
	}
	return nothing, true
}
