// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import "github.com/ulpatch/ulpatch/arch"

// dataRegister: C4.1.95, "Data Processing -- Register".
func (w word) dataRegister() ([]arch.Effect, bool) {
	size := w.width()
	rd, rn, rm := orZero(w.rd(), size), orZero(w.rn(), size), orZero(w.rm(), size)
	switch {
	case w.field(24, 5) == 0b01010: // logical
		src, steps, ok := w.shifted(rm)
		if !ok {
			return nil, false
		}
		if w.bit(21) { // bic, orn, eon, bics
			steps = append(steps, into(rd, arch.OpUnknown, rn, src))
			if w.field(29, 2) == 0b11 {
				steps = append(steps, flags)
			}
			return steps, true
		}
		return append(steps, w.logical(rd, rn, src)...), true
	case w.field(24, 5) == 0b01011 && !w.bit(21): // add, sub, with a shift
		src, steps, ok := w.shifted(rm)
		return append(steps, w.addOrSubtract(rd, rn, src, false)...), ok && w.field(22, 2) != 0b11
	case w.field(24, 5) == 0b01011 && w.field(22, 2) == 0: // add, sub, of what is extended
		shift := w.field(10, 3)
		if shift > 4 {
			return nil, false
		}
		src, steps := extended(w.rm(), w.field(13, 3))
		if src.Kind == arch.Register {
			src.Bits = size
		}
		if shift > 0 {
			steps = append(steps, into(scratch(first, size), arch.OpLeft, src, immediate(int64(shift))))
			src = scratch(first, size)
		}
		return append(steps, w.addOrSubtract(orStack(w.rd(), size), orStack(w.rn(), size), src, false)...), true
	case w.field(24, 5) == 0b11011:
		return w.multiply()
	case w.field(21, 8) == 0b11010000 && w.field(10, 6) == 0: // adc, sbc
		steps := made(rd, rn, rm)
		if w.bit(29) {
			steps = append(steps, flags)
		}
		return steps, true
	case w.field(21, 8) == 0b11010000 && (w.field(10, 5) == 1 || w.field(10, 4) == 2): // rmif, setf
		return []arch.Effect{flags}, true
	case w.field(21, 8) == 0b11010010: // ccmp, ccmn: perhaps it is compared
		compare := flags
		if w.bit(30) && !w.bit(11) {
			compare.Op, compare.Bits, compare.Left, compare.Src = arch.OpCompare, size, rn, rm
		}
		return []arch.Effect{compare, flags}, true
	case w.field(21, 8) == 0b11010100 && !w.bit(29) && !w.bit(11): // csel, csinc, csinv, csneg
		if !w.bit(30) && !w.bit(10) {
			return []arch.Effect{into(rd, arch.OpSelect, rn, rm)}, true
		}
		if !w.bit(30) && w.rn() == 31 && w.rm() == 31 { // cset
			return []arch.Effect{into(rd, arch.OpSelect, immediate(0), immediate(1))}, true
		}
		return made(rd, rn, rm), true
	case w.field(21, 8) == 0b11010110 && w.bit(30) && !w.bit(29): // of one operand; those that sign an address use the old value
		last := []int{8, 17}[w.rm()&1] // later ones may change x17
		return made(rd, rn, orZero(w.rd(), size)), w.rm() <= 1 && w.field(10, 6) <= last
	case w.field(21, 8) == 0b11010110 && !w.bit(29): // of two
		switch n := w.field(10, 6); {
		case n == 2, n == 3, n >= 8 && n <= 11, n >= 16 && n <= 23: // division, shifts, crc32
			return made(rd, rn, rm), true
		case n == 12: // pacga
			return made(rd, rn, orStack(w.rm(), 64)), true
		}
	}
	return nil, false
}

// shifted is the operand rm, with the steps that shift it.
func (w word) shifted(rm arch.Operand) (arch.Operand, []arch.Effect, bool) {
	amount, size := w.field(10, 6), w.width()
	if amount >= size {
		return rm, nil, false
	}
	if amount == 0 {
		return rm, nil, true
	}
	op := []arch.Op{arch.OpLeft, arch.OpRight, arch.OpUnknown, arch.OpUnknown}[w.field(22, 2)]
	to := scratch(first, size)
	return to, []arch.Effect{into(to, op, rm, immediate(int64(amount)))}, true
}

// extended is a register as an option of add, or of an address, extends it.
func extended(reg, option int) (arch.Operand, []arch.Effect) {
	narrow := orZero(reg, 8<<uint(option&3))
	if narrow.Kind != arch.Register || option&3 == 3 {
		return orZero(reg, 64), nil
	}
	op := arch.OpExtend
	if option&4 != 0 {
		op = arch.OpSign
	}
	to := scratch(first, 64)
	return to, []arch.Effect{into(to, op, arch.Operand{}, narrow)}
}

// multiply: of three operands, by op54, op31 and o0.
func (w word) multiply() ([]arch.Effect, bool) {
	size := w.width()
	rd, ra := orZero(w.rd(), size), orZero(w.ra(), size)
	left, right := orZero(w.rn(), size), orZero(w.rm(), size)
	var steps []arch.Effect
	switch op := w.field(21, 3); {
	case w.field(29, 2) != 0:
		return nil, false
	case op == 0b000:
	case (op == 0b010 || op == 0b110) && size == 64: // smulh, umulh
		return made(rd, left, right), !w.bit(15)
	case (op == 0b001 || op == 0b101) && size == 64: // smaddl, umaddl
		extend := arch.OpSign
		if op == 0b101 {
			extend = arch.OpExtend
		}
		if left.Kind == arch.Register {
			left.Bits = 32
			steps = append(steps, into(scratch(first, 64), extend, arch.Operand{}, left))
			left = scratch(first, 64)
		}
		if right.Kind == arch.Register {
			right.Bits = 32
			steps = append(steps, into(scratch(second, 64), extend, arch.Operand{}, right))
			right = scratch(second, 64)
		}
	default:
		return nil, false
	}
	product := scratch(first, size)
	steps = append(steps, into(product, arch.OpMul, left, right))
	op := arch.OpAdd
	if w.bit(15) {
		op = arch.OpSub
	}
	return append(steps, into(rd, op, ra, product)), true
}
