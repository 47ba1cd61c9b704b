// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import "github.com/ulpatch/ulpatch/arch"

// loadOrStore: C4.1.94, "Loads and Stores".
func (w word) loadOrStore() ([]arch.Effect, bool) {
	switch {
	case w.field(24, 6) == 0b001000:
		return w.ordered()
	case w.field(25, 5) == 0b00110 && !w.bit(31): // structures of vectors
		return w.structures()
	case w.field(27, 3) == 0b011 && w.field(24, 2) == 0b00:
		return w.literal()
	case w.field(27, 3) == 0b101 && !w.bit(25):
		return w.pair()
	case w.field(27, 3) == 0b111 && w.field(24, 2) == 0b01:
		t, ok := w.transferred()
		return []arch.Effect{t.at(memory(w.rn(), int64(w.field(10, 12))*int64(t.size)))}, ok
	case w.field(27, 3) == 0b111 && w.field(24, 2) == 0b00 && !w.bit(21):
		return w.unscaled()
	case w.field(27, 3) == 0b111 && w.field(24, 2) == 0b00 && w.field(10, 2) == 0b10:
		return w.indexed()
	case w.field(27, 3) == 0b111 && w.field(24, 2) == 0b00 && w.field(10, 2) == 0b00 && !w.bit(26):
		return w.atomic()
	}
	return nil, false // with tags, copies of memory, authenticated
}

func memory(base int, disp int64) arch.Operand {
	return arch.Operand{Kind: arch.Memory, Base: base, Index: -1, Imm: disp}
}

// transfer is what a load or store moves.
type transfer struct {
	size  int // bytes
	load  bool
	op    arch.Op      // OpNone: of a vector register
	reg   arch.Operand // of a load: what it sets, or the constant 0; of a store: what it writes
	quiet bool         // a prefetch: nothing is read
}

// at is the transfer as a step.
func (t transfer) at(m arch.Operand) arch.Effect {
	m.Bits = 8 * t.size
	e := arch.Effect{Op: t.op, Access: !t.quiet, Size: t.size, Bits: m.Bits, ImmAt: -1}
	switch {
	case t.quiet:
		e.Op = arch.OpNone
	case t.load && (t.op == arch.OpNone || t.reg.Kind != arch.Register):
		e.Op, e.Src = arch.OpNone, m
	case t.load:
		e.Dst, e.Src, e.Bits = t.reg, m, t.reg.Bits
	case t.op == arch.OpNone:
		e.Dst = m
	default:
		e.Dst, e.Src = m, t.reg
	}
	return e
}

// integer is a transfer of a general register.
func integer(reg, size int, load, sign bool, bits int) transfer {
	t := transfer{size: size, load: load, op: arch.OpMove, reg: orZero(reg, max(bits, 32))}
	if load && (sign || size < 4) {
		t.op = arch.OpExtend
		if sign {
			t.op = arch.OpSign
		}
	}
	return t
}

// transferred is what the instructions of one register move, by size, V and opc.
func (w word) transferred() (transfer, bool) {
	size, opc := w.field(30, 2), w.field(22, 2)
	if w.bit(26) {
		if opc >= 2 {
			return transfer{size: 16, load: opc == 3}, size == 0
		}
		return transfer{size: 1 << size, load: opc == 1}, true
	}
	switch {
	case opc < 2:
		bits := 32
		if size == 3 {
			bits = 64
		}
		return integer(w.rd(), 1<<size, opc == 1, false, bits), true
	case size == 3:
		return transfer{size: 8, quiet: true}, opc == 2
	case opc == 2:
		return integer(w.rd(), 1<<size, true, true, 64), true
	}
	return integer(w.rd(), 1<<size, true, true, 32), size < 2
}

// unscaled: with an offset of 9 bits, which may move the base, before or after.
func (w word) unscaled() ([]arch.Effect, bool) {
	t, ok := w.transferred()
	offset := w.signed(12, 9)
	switch w.field(10, 2) {
	case 0b00, 0b10:
		return []arch.Effect{t.at(memory(w.rn(), offset))}, ok && (!t.quiet || w.field(10, 2) == 0)
	case 0b01:
		return moved([]arch.Effect{t.at(memory(w.rn(), 0))}, w.rn(), immediate(offset), false), ok && !t.quiet && !w.clashes(t)
	}
	return moved([]arch.Effect{t.at(memory(w.rn(), 0))}, w.rn(), immediate(offset), true), ok && !t.quiet && !w.clashes(t)
}

// clashes says whether the base that an instruction moves is what it transfers,
// too.
func (w word) clashes(t transfer) bool {
	return t.op != arch.OpNone && w.rn() != 31 && (w.rd() == w.rn())
}

// moved puts the step that changes the base before the others, or behind.
func moved(steps []arch.Effect, base int, by arch.Operand, before bool) []arch.Effect {
	move := into(orStack(base, 64), arch.OpAdd, orStack(base, 64), by)
	if before {
		return append([]arch.Effect{move}, steps...)
	}
	return append(steps, move)
}

// indexed: with a register for an offset.
func (w word) indexed() ([]arch.Effect, bool) {
	t, ok := w.transferred()
	option := w.field(13, 3)
	if !ok || option&2 == 0 {
		return nil, false
	}
	index, steps := extended(w.rm(), option)
	m := memory(w.rn(), 0)
	if index.Kind == arch.Register {
		m.Index, m.Scale = index.Reg, 1
		if w.bit(12) {
			m.Scale = int64(t.size)
		}
	}
	return append(steps, t.at(m)), true
}

// pair: two registers, one behind the other.
func (w word) pair() ([]arch.Effect, bool) {
	opc, load, mode := w.field(30, 2), w.bit(22), w.field(23, 2)
	var x, y transfer
	switch {
	case opc == 3, !w.bit(26) && opc == 1 && (!load || mode == 0): // with tags
		return nil, false
	case w.bit(26):
		x = transfer{size: 4 << opc, load: load}
		y = x
	default:
		size, bits, sign := 4, 32, opc == 1
		if opc == 2 {
			size, bits = 8, 64
		}
		if sign {
			bits = 64
		}
		x, y = integer(w.rd(), size, load, sign, bits), integer(w.ra(), size, load, sign, bits)
		same := load && w.rd() == w.ra()
		clash := mode&1 == 1 && w.rn() != 31 && (w.rd() == w.rn() || w.ra() == w.rn())
		if same || clash {
			return nil, false
		}
	}
	offset := w.signed(15, 7) * int64(x.size)
	at := func(disp int64) []arch.Effect {
		steps := []arch.Effect{x.at(memory(w.rn(), disp)), y.at(memory(w.rn(), disp+int64(x.size)))}
		if load && !w.bit(26) && w.rd() == w.rn() { // the base goes last
			steps[0], steps[1] = steps[1], steps[0]
		}
		return steps
	}
	switch mode {
	case 0b01:
		return moved(at(0), w.rn(), immediate(offset), false), true
	case 0b11:
		return moved(at(0), w.rn(), immediate(offset), true), true
	}
	return at(offset), true
}

// literal: of what lies near the code.
func (w word) literal() ([]arch.Effect, bool) {
	m := arch.Operand{Kind: arch.Memory, Base: -1, Index: -1, Counter: true}
	opc := w.field(30, 2)
	switch {
	case w.bit(26) && opc < 3:
		return []arch.Effect{transfer{size: 4 << opc, load: true}.at(m)}, true
	case w.bit(26):
		return nil, false
	case opc == 3:
		return []arch.Effect{transfer{quiet: true}.at(m)}, true
	}
	size, bits := 4, 32
	if opc == 1 {
		size, bits = 8, 64
	}
	if opc == 2 {
		bits = 64
	}
	return []arch.Effect{integer(w.rd(), size, true, opc == 2, bits).at(m)}, true
}

// ordered: exclusive loads and stores, and those with acquire or release, by o2,
// L, o1 and o0.
func (w word) ordered() ([]arch.Effect, bool) {
	size, load := 1<<w.field(30, 2), w.bit(22)
	bits := 32
	if size == 8 {
		bits = 64
	}
	if w.bit(21) { // pairs, compare and swap
		return nil, false
	}
	if !w.bit(23) && !load { // perhaps; the other register tells
		return w.exchanged(size, w.rd(), orZero(w.rm(), 32)), true
	}
	return []arch.Effect{integer(w.rd(), size, load, false, bits).at(memory(w.rn(), 0))}, true
}

// atomic: what was there goes to the register, what comes there is not known.
func (w word) atomic() ([]arch.Effect, bool) {
	size, opc := 1<<w.field(30, 2), w.field(12, 3)
	if w.bit(15) && opc != 0 { // not swap
		return nil, false
	}
	return w.exchanged(size, w.rm(), orZero(w.rd(), 64)), true
}

// exchanged: memory becomes something that is made of a register, and another
// register tells of it.
func (w word) exchanged(size, with int, tells arch.Operand) []arch.Effect {
	e := transfer{size: size, op: arch.OpUnknown, reg: orZero(with, 64)}.at(memory(w.rn(), 0))
	return []arch.Effect{e, into(tells, arch.OpUnknown, arch.Operand{}, arch.Operand{})}
}

// structures: of one to four vector registers, or an element of each. The base may
// move behind the access.
func (w word) structures() ([]arch.Effect, bool) {
	var size int
	opcode := w.field(12, 4)
	if !w.bit(24) {
		registers := map[int]int{0b0000: 4, 0b0010: 4, 0b0100: 3, 0b0110: 3, 0b0111: 1, 0b1000: 2, 0b1010: 2}[opcode]
		size = registers * (8 << w.field(30, 1))
	} else {
		element := 1 << w.field(14, 2)
		switch {
		case element == 4 && w.field(10, 2) == 1:
			element = 8
		case element == 8: // the same to all
			element = 1 << w.field(10, 2)
		}
		size = element * (w.field(13, 1)<<1 + w.field(21, 1) + 1)
	}
	if size == 0 || !w.bit(24) && w.bit(21) {
		return nil, false
	}
	steps := []arch.Effect{transfer{size: size, load: w.bit(22)}.at(memory(w.rn(), 0))}
	switch {
	case !w.bit(23):
		return steps, w.rm() == 0
	case w.rm() == 31:
		return moved(steps, w.rn(), immediate(int64(size)), false), true
	}
	return moved(steps, w.rn(), orStack(w.rm(), 64), false), true
}
