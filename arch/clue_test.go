// SPDX-License-Identifier: GPL-2.0-or-later

package arch

import (
	"math/rand/v2"
	"testing"
)

// low12 is a field of 16 bits that holds the lower 12.
var low12 = Field{
	Put: func(place []byte, x int64) { place[0], place[1] = byte(x), place[1]&0xf0|byte(x>>8)&0xf },
	Get: func(place []byte) int64 { return int64(place[0]) | int64(place[1]&0xf)<<8 },
}

func sum(o Operands) int64 { return int64(o.S) + o.A }

func pages(o Operands) int64 { return sum(o)&^0xfff - int64(o.P)&^0xfff }

func TestClue(t *testing.T) {
	page := Howto{Size: 8, Field: LittleEndian(8, true), Expr: Part('S', 12, 64, "Page(S + A) - Page(P)", pages)}
	low := Howto{Size: 2, Field: low12, Expr: Part('S', 0, 12, "S + A", sum)}
	whole := Howto{Size: 8, Field: LittleEndian(8, true), Expr: Linear('S', "S + A - P", func(o Operands) int64 { return sum(o) - int64(o.P) })}
	for range 1000 {
		o := Operands{S: Addr(rand.Uint64()), P: Addr(rand.Uint64())}
		var clues []Clue
		for _, h := range []Howto{page, low, whole} {
			o := o
			o.A = int64(rand.Uint64() % 0x4000) // another each time
			place := make([]byte, h.Size)
			if err := h.Apply(place, o); err != nil {
				t.Fatal(err)
			}
			o.S = 0xdeadbeef // nobody looks
			c, ok := h.Clue(place, o)
			if !ok || c.By != 'S' {
				t.Fatalf("%s: %+v, %v", h.Expr.Text, c, ok)
			}
			clues = append(clues, c)
		}
		for _, some := range [][]Clue{{clues[0], clues[1]}, {clues[1], clues[0]}, {clues[2]}, clues} {
			if v, ok := Solve(some); !ok || Addr(v) != o.S {
				t.Fatalf("%+v: %#x, %v; want %#x", some, v, ok, uint64(o.S))
			}
		}
		for _, some := range [][]Clue{nil, {clues[0]}, {clues[1]}, {clues[0], clues[0]}} {
			if v, ok := Solve(some); ok {
				t.Fatalf("%+v: solved to %#x", some, v)
			}
		}
	}
	if _, _, ok := page.Expr.Solve(0, Operands{}); ok {
		t.Error("a page alone was solved")
	}
	if _, _, ok := low.Expr.Solve(0, Operands{}); ok {
		t.Error("a low part alone was solved")
	}
}

// TestClueGroups joins 16 bits at a time, in any order.
func TestClueGroups(t *testing.T) {
	const v = 0x123456789abcdef0
	var clues []Clue
	for i, a := range []int64{0, -1, 0xffff, 1 << 40} {
		lo := uint(16 * i)
		clues = append(clues, Clue{By: 'S', Addend: a, Sum: uint64(v+a) &^ lowBits(lo), Lo: lo, Hi: lo + 16})
	}
	for range 24 {
		rand.Shuffle(len(clues), func(i, j int) { clues[i], clues[j] = clues[j], clues[i] })
		if got, ok := Solve(clues); !ok || got != v {
			t.Fatalf("%+v: %#x, %v", clues, got, ok)
		}
	}
	if got, ok := Solve(clues[:3]); ok {
		t.Errorf("three of four: %#x", got)
	}
	// One that reaches further than the last need of it.
	if got, ok := Solve([]Clue{{Sum: 0xf0, Hi: 8}, {Sum: v, Lo: 4, Hi: 64}}); !ok || got != v {
		t.Errorf("overlapping: %#x, %v", got, ok)
	}
}

func TestClueNone(t *testing.T) {
	h := Data(8, Calc("S + A", sum), Unchecked)
	if c, ok := h.Clue(make([]byte, 8), Operands{}); ok {
		t.Errorf("an expression that tells nothing: %+v", c)
	}
	h = Data(8, Linear('S', "S + A", sum), Unchecked)
	if c, ok := h.Clue(make([]byte, 7), Operands{}); ok {
		t.Errorf("a place cut short: %+v", c)
	}
	if c, ok := Marker.Clue(nil, Operands{}); ok {
		t.Errorf("a marker: %+v", c)
	}
	h.NoAddend = true
	if c, ok := h.Clue(make([]byte, 8), Operands{A: 1}); ok {
		t.Errorf("an addend: %+v", c)
	}
}

// TestMask: bits that a field leaves are not in it, even where it has a sign of
// its own.
func TestMask(t *testing.T) {
	h := Howto{Size: 2, Field: low12, Expr: Calc("S + A", sum)}
	if m := h.Mask(); m[0] != 0xff || m[1] != 0x0f {
		t.Errorf("% x", m)
	}
}
