// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"maps"
	"math"

	"github.com/ulpatch/ulpatch/arch"
)

// value is what is known of a register or of a slot of the frame: a number, or a
// place that a reference tells plus a number, from lo to hi. A place that a loop
// moves is known as it is in the first round and in the second.
type value struct {
	known  bool
	ref    int // index in the function's references; -1: a number
	part   part
	lo, hi int64

	half bool    // not known, but the lower 32 bits are a number from lo to hi
	of   origins // not known, but made of these, if of any places at all

	moves          bool
	since          int // the block where the loop begins
	nextLo, nextHi int64
}

// part tells what a value is of a place: all of the address, its bits from one
// on, or those below that one.
type part struct {
	bit   uint8 // 0: all of it
	lower bool
}

const (
	full32  = math.MaxUint32
	farAway = 1 << 40 // bytes; numbers beyond are not followed
)

func number(lo, hi int64) value { return value{known: true, ref: -1, lo: lo, hi: hi} }

func (v value) pointer() bool { return v.known && v.ref >= 0 && v.part == part{} }

func (v value) number() bool { return v.known && v.ref < 0 }

func (v value) positive() bool { return v.number() && v.lo >= 0 }

// fixed says whether a value is one place and no other.
func (v value) fixed() bool { return v.pointer() && v.lo == v.hi && !v.moves }

// word says whether the lower 32 bits are a known number.
func (v value) word() bool { return v.half || v.positive() && v.hi <= full32 }

// plus adds two values; at most one may be a place.
func (v value) plus(w value) value {
	if v.ref < 0 {
		v, w = w, v
	}
	if !v.known || !w.number() || v.part != (part{}) {
		return value{}
	}
	v.lo, v.hi, v.nextLo, v.nextHi = v.lo+w.lo, v.hi+w.hi, v.nextLo+w.lo, v.nextHi+w.hi
	return v.sane()
}

// minus subtracts a number.
func (v value) minus(w value) value {
	if !w.number() {
		return value{}
	}
	return v.plus(number(-w.hi, -w.lo))
}

func (v value) times(w value) value {
	switch {
	case w == number(1, 1):
		return v
	case !v.number() || !w.positive() || v.hi > farAway/max(w.hi, 1) || v.lo < -farAway/max(w.hi, 1):
		return value{}
	case v.lo < 0:
		return number(v.lo*w.hi, max(v.hi, 0)*w.hi)
	}
	return number(v.lo*w.lo, v.hi*w.hi)
}

// either is one of two values.
func (v value) either(w value) value {
	switch {
	case v == w:
		return v
	case !v.known || !w.known || v.ref != w.ref || v.moves || w.moves || v.part != w.part || v.part != part{}:
		return value{}
	}
	v.lo, v.hi = min(v.lo, w.lo), max(v.hi, w.hi)
	return v
}

func (v value) sane() value {
	if v.known && (v.lo < -farAway || v.hi > farAway || v.lo > v.hi) {
		return value{}
	}
	return v
}

// low is the value as an operation of so many bits leaves it.
func (v value) low(bits int) value {
	switch {
	case bits == 64:
		return v
	case bits == 32 && v.word():
		return number(v.lo, v.hi)
	case bits == 32 && v.pointer() && v.lo == 0 && v.hi == 0 && !v.moves:
		return v
	case bits == 32:
		return number(0, full32)
	}
	return value{}
}

// join is what is known where two ways meet, at a block. A place stays one where
// both are by the same reference, and of no more than two kinds.
func (v value) join(w value, at int) value {
	switch {
	case v == w:
		return v
	case (v.half || w.half) && v.word() && w.word():
		return value{half: true, lo: min(v.lo, w.lo), hi: max(v.hi, w.hi)}
	case !v.known || !w.known || v.ref != w.ref || v.part != w.part || v.part != part{}:
		return value{}
	case v.ref < 0:
		return number(min(v.lo, w.lo), max(v.hi, w.hi))
	case v.moves && (w.lo != v.lo || w.hi != v.hi) && (w.lo != v.nextLo || w.hi != v.nextHi):
		return value{}
	case v.moves:
		return v
	case v.lo == w.lo && v.hi == w.hi: // the other one moves
		return w
	}
	v.moves, v.since, v.nextLo, v.nextHi = true, at, w.lo, w.hi
	return v
}

// widen is what is known at a block of which something was known already, in an
// earlier round: what the first rounds tell of a number is not all that it can be.
func (v value) widen(old value, rounds int) value {
	switch {
	case v == old:
		return v
	case (v.half || old.half) && v.word() && old.word() && rounds < mostRounds:
		return value{half: true, lo: min(v.lo, old.lo), hi: max(v.hi, old.hi)}
	case !v.known || !old.known || v.ref != old.ref || v.part != old.part:
		return value{}
	case v.ref >= 0 && rounds >= mostRounds+2: // numbers have settled by then
		return value{}
	case v.ref >= 0:
		return v
	case rounds < mostRounds:
		return number(min(v.lo, old.lo), max(v.hi, old.hi))
	case v.positive() && v.hi <= full32 && old.positive() && old.hi <= full32:
		return number(0, full32)
	}
	return value{}
}

// slot is a place of the frame.
type slot struct {
	base int
	off  int64
}

type slotValue struct {
	value
	bits int
}

// machine is what is known at one point of a function.
type machine struct {
	regs     [arch.NumRegisters]value
	slots    map[slot]slotValue
	frame    origins // of what was put into the frame, wherever that is
	compared int     // the register of the last comparison with a number; -1: none
	limit    int64
	bits     int
}

func newMachine() *machine { return &machine{slots: map[slot]slotValue{}, compared: -1} }

func (m *machine) clone() *machine {
	c := *m
	c.slots = maps.Clone(m.slots)
	return &c
}

// merge takes for each register and slot what both of two values tell.
func (m *machine) merge(w *machine, both func(v, w value) value) {
	for r := range m.regs {
		if m.regs[r] != w.regs[r] {
			m.regs[r] = both(m.regs[r], w.regs[r])
		}
	}
	for s, one := range m.slots {
		other, here := w.slots[s]
		v := both(one.value, other.value)
		if !here || other.bits != one.bits || !v.known {
			delete(m.slots, s)
			continue
		}
		m.slots[s] = slotValue{v, one.bits}
	}
	if m.compared != w.compared || m.limit != w.limit || m.bits != w.bits {
		m.compared, m.limit, m.bits = -1, 0, 0
	}
}

func (m *machine) equal(w *machine) bool {
	return m.regs == w.regs && m.frame == w.frame && m.compared == w.compared && m.limit == w.limit && m.bits == w.bits && maps.Equal(m.slots, w.slots)
}

// forget drops what the frame holds where a store of a word to a slot may have
// changed it.
func (m *machine) forget(at slot) {
	const word = 8
	for s := range m.slots {
		if s.base != at.base || at.off < s.off+word && s.off < at.off+word {
			delete(m.slots, s)
		}
	}
}

// refine takes what a branch tells of what was compared, or of a register.
func (m *machine) refine(b arch.Bound) {
	if b.Reg.Kind == arch.Register {
		m.limitTo(b)
		return
	}
	if m.compared < 0 {
		return
	}
	most := m.limit + b.Delta
	if v := m.regs[m.compared]; v.known && v.ref >= 0 || most < 0 {
		return
	}
	m.regs[m.compared] = m.regs[m.compared].atMost(most, m.bits)
}

// limitTo limits a register.
func (m *machine) limitTo(b arch.Bound) {
	v := m.regs[b.Reg.Reg]
	if v.known && v.ref >= 0 {
		return
	}
	if now := v.low(b.Reg.Bits); b.If < math.MaxInt64 && (!now.positive() || now.hi > b.If) {
		return
	}
	m.regs[b.Reg.Reg] = v.atMost(b.Most, b.Reg.Bits)
}

// atMost is the number that was found to be no more, by an operation of so many
// bits.
func (v value) atMost(most int64, bits int) value {
	switch {
	case v.positive() && (bits == 64 || v.hi <= full32):
		if v.lo <= most {
			v.hi = min(v.hi, most)
		}
		return v
	case bits == 64 && most <= farAway:
		return number(0, most)
	case bits == 64:
		return v
	case v.half:
		v.hi = min(v.hi, most)
	default:
		v = value{half: true, hi: min(most, full32), of: v.of}
	}
	if v.lo > v.hi {
		return value{of: v.of}
	}
	return v
}
