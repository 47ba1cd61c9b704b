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
	lo, hi int64

	moves          bool
	since          int // the block where the loop begins
	nextLo, nextHi int64
}

const (
	full32  = math.MaxUint32
	farAway = 1 << 40 // bytes; numbers beyond are not followed
)

func number(lo, hi int64) value { return value{known: true, ref: -1, lo: lo, hi: hi} }

func (v value) pointer() bool { return v.known && v.ref >= 0 }

func (v value) positive() bool { return v.known && v.ref < 0 && v.lo >= 0 }

// plus adds two values; at most one may be a place.
func (v value) plus(w value) value {
	if v.ref < 0 {
		v, w = w, v
	}
	if !v.known || !w.known || w.ref >= 0 {
		return value{}
	}
	v.lo, v.hi, v.nextLo, v.nextHi = v.lo+w.lo, v.hi+w.hi, v.nextLo+w.lo, v.nextHi+w.hi
	return v.sane()
}

// minus subtracts a number.
func (v value) minus(w value) value {
	if !w.known || w.ref >= 0 {
		return value{}
	}
	return v.plus(number(-w.hi, -w.lo))
}

func (v value) times(n int64) value {
	switch {
	case n == 1:
		return v
	case !v.known || v.ref >= 0 || n < 0:
		return value{}
	}
	return number(v.lo*n, v.hi*n).sane()
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
	case bits == 32 && (v.positive() && v.hi <= full32 || v.pointer() && v.lo == 0 && v.hi == 0 && !v.moves):
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
	case !v.known || !w.known || v.ref != w.ref:
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
	case !v.known || !old.known || v.ref != old.ref:
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
	compared int // the register of the last comparison with a number; -1: none
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
		m.regs[r] = both(m.regs[r], w.regs[r])
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
	return m.regs == w.regs && m.compared == w.compared && m.limit == w.limit && m.bits == w.bits && maps.Equal(m.slots, w.slots)
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

// refine takes what a branch tells of what was compared.
func (m *machine) refine(b arch.Bound) {
	if m.compared < 0 {
		return
	}
	v, most := m.regs[m.compared], m.limit+b.Delta
	if v.pointer() || most < 0 || m.bits < 64 && !(v.positive() && v.hi <= full32) {
		return
	}
	if !v.positive() {
		v = number(0, most)
	}
	m.regs[m.compared] = number(v.lo, min(v.hi, most)).sane()
}
