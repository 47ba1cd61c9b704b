// SPDX-License-Identifier: GPL-2.0-or-later

package arch

import (
	"bytes"
	"errors"
	"fmt"
)

var (
	// ErrRange: X does not fit in its field, or a target is out of reach.
	ErrRange = errors.New("out of range")
	// ErrAlign: X has bits below the alignment that the field can express.
	ErrAlign = errors.New("misaligned")
	// ErrPlace: the place is shorter than the relocation.
	ErrPlace = errors.New("place is cut short")
	// ErrAddend: the relocation has an addend, and nothing can honour it.
	ErrAddend = errors.New("addend is not supported")
)

// Operands are the inputs of a relocation, in the letters of the psABIs; see
// the package's glossary. All are addresses in the target, offsets in bytes.
type Operands struct {
	S, P, G, GOT, L Addr
	A, TP, DTP      int64
	V               int64
	Z               uint64 // size of the symbol, in bytes
}

// Expr computes X. Its text is that of the ABI document and is quoted in
// errors, so that the two cannot drift.
type Expr struct {
	Text string
	eval func(Operands) int64
	// uses is the operand v of which a field tells the bits lo to hi-1 of v + A;
	// all 64 where the expression is linear, so that it can be solved. 0 where it
	// tells nothing.
	uses   byte
	lo, hi uint
}

// Calc is an expression that cannot be solved for a symbol.
func Calc(text string, eval func(Operands) int64) Expr { return Expr{Text: text, eval: eval} }

// Linear is an expression X = v + rest, where v is the operand that by names:
// 'S', 'G', 'T' (TP), 'D' (DTP) or 'B' (GOT, the base).
func Linear(by byte, text string, eval func(Operands) int64) Expr {
	return Expr{Text: text, eval: eval, uses: by, hi: 64}
}

// Part is an expression whose field tells the bits lo to hi-1 of v + A and no
// others: X is v + A, or v + A with bits below lo cleared, plus what does not
// depend on either. It cannot be solved alone; Solve joins several.
func Part(by byte, lo, hi uint, text string, eval func(Operands) int64) Expr {
	return Expr{Text: text, eval: eval, uses: by, lo: lo, hi: hi}
}

// Eval computes X.
func (e Expr) Eval(o Operands) int64 { return e.eval(o) }

// Solve finds the operand (its letter is returned too) that gives x, the other
// operands being o. ok is false where the expression cannot be solved.
func (e Expr) Solve(x int64, o Operands) (by byte, v int64, ok bool) {
	if e.lo != 0 || e.hi != 64 {
		return 0, 0, false
	}
	return e.uses, x - e.without(o), true
}

// Bits tells which bits of v + A a field with this expression tells: lo to hi-1,
// all 64 where it tells the whole. v is the operand that by names, 0 where there
// is none.
func (e Expr) Bits() (by byte, lo, hi uint) { return e.uses, e.lo, e.hi }

// without is X where the operand that the expression is solved for is 0.
func (e Expr) without(o Operands) int64 {
	switch e.uses {
	case 'S':
		o.S = 0
	case 'G':
		o.G = 0
	case 'T':
		o.TP = 0
	case 'D':
		o.DTP = 0
	case 'B':
		o.GOT = 0
	}
	return e.eval(o)
}

// Check is what has to hold of X before it is stored.
type Check struct {
	bits   uint // 0: unchecked
	signed bool
	either bool
	align  int64
}

// Unchecked stores the low bits of X, whatever the rest.
var Unchecked = Check{}

// Signed wants -2^(bits-1) <= X < 2^(bits-1).
func Signed(bits uint) Check { return Check{bits: bits, signed: true} }

// Unsigned wants 0 <= X < 2^bits.
func Unsigned(bits uint) Check { return Check{bits: bits} }

// Either wants -2^(bits-1) <= X < 2^bits.
func Either(bits uint) Check { return Check{bits: bits, either: true} }

// Align adds that X is a multiple of n, a power of two.
func (c Check) Align(n int64) Check { c.align = n; return c }

// Limits are the smallest and the largest X that pass; ok is false where
// every X passes.
func (c Check) Limits() (lo, hi int64, ok bool) {
	switch {
	case c.bits == 0 || c.bits >= 64:
		return 0, 0, false
	case c.signed:
		return -1 << (c.bits - 1), 1<<(c.bits-1) - 1, true
	case c.either:
		return -1 << (c.bits - 1), 1<<c.bits - 1, true
	}
	return 0, 1<<c.bits - 1, true
}

// Verify returns an error that wraps ErrRange or ErrAlign, or nil.
func (c Check) Verify(x int64) error {
	if lo, hi, ok := c.Limits(); ok && (x < lo || x > hi) {
		return ErrRange
	}
	if c.align > 1 && x&(c.align-1) != 0 {
		return ErrAlign
	}
	return nil
}

// Field says where in a place X goes. Put clears and sets only the field's
// bits; Get reads X back, sign-extended where the field is signed.
type Field struct {
	Put func(place []byte, x int64)
	Get func(place []byte) int64
}

// Need is what has to exist in the target before a relocation is applied.
type Need uint8

const (
	NeedNothing Need = iota
	NeedStub         // a call: S itself where it is in reach, else a stub L, which becomes S
	NeedGOT          // G: an 8-byte slot that holds S; GOT too, where the expression has it
	NeedGOTBase      // GOT: the base of the payload's slots
	NeedTP           // TP is known: static TLS
	NeedDTP          // DTP is known
	NeedGOTTP        // G: an 8-byte slot that holds TP
	NeedTLSGD        // G: a 16-byte slot, module id and DTP
	NeedTLSLD        // G: a 16-byte slot, module id and 0
	NeedTLSDesc      // G: a 16-byte slot, resolver and its argument TP
)

// Howto is one row of a relocation table.
type Howto struct {
	Name  string
	Size  int // bytes of the place; 0: a marker, nothing is written
	Expr  Expr
	Check Check
	Field Field
	Need  Need
	// NoAddend: A has to be 0, because it belongs to what a slot holds and not
	// to where the slot is.
	NoAddend bool
}

// Apply computes X, checks it and stores it in place, which holds the bytes at
// o.P. On an error the place is untouched.
func (h Howto) Apply(place []byte, o Operands) error {
	if h.Size == 0 {
		return nil
	}
	if len(place) < h.Size {
		return fmt.Errorf("%s: %w", h.Name, ErrPlace)
	}
	if h.NoAddend && o.A != 0 {
		return fmt.Errorf("%s: A = %#x: %w", h.Name, o.A, ErrAddend)
	}
	x := h.Expr.Eval(o)
	if err := h.Check.Verify(x); err != nil {
		return fmt.Errorf("%s: %s = %#x: %w", h.Name, h.Expr.Text, x, err)
	}
	h.Field.Put(place[:h.Size], x)
	return nil
}

// Mask has a set bit for each bit of the place that the relocation writes: those
// that come out the same whatever they were.
func (h Howto) Mask() []byte {
	zeros, ones := make([]byte, h.Size), bytes.Repeat([]byte{0xff}, h.Size)
	if h.Size > 0 {
		h.Field.Put(zeros, 0)
		h.Field.Put(ones, 0)
	}
	for i := range ones {
		ones[i] ^= ^zeros[i]
	}
	return ones
}
