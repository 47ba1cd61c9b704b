// SPDX-License-Identifier: GPL-2.0-or-later

package arch

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		check  Check
		lo, hi int64
	}{
		{"signed 8", Signed(8), -128, 127},
		{"signed 32", Signed(32), math.MinInt32, math.MaxInt32},
		{"signed 63", Signed(63), -1 << 62, 1<<62 - 1},
		{"unsigned 12", Unsigned(12), 0, 4095},
		{"unsigned 63", Unsigned(63), 0, math.MaxInt64},
		{"either 16", Either(16), -32768, 65535},
	} {
		if lo, hi, ok := c.check.Limits(); lo != c.lo || hi != c.hi || !ok {
			t.Errorf("%s: limits %d, %d, %v", c.name, lo, hi, ok)
		}
		for _, x := range []int64{c.lo, c.lo + 1, 0, c.hi - 1, c.hi} {
			if err := c.check.Verify(x); err != nil {
				t.Errorf("%s: %d: %v", c.name, x, err)
			}
		}
		for _, x := range []int64{c.lo - 1, c.hi + 1, math.MinInt64} {
			if in := x >= c.lo && x <= c.hi; in {
				continue // wrapped round
			}
			if err := c.check.Verify(x); !errors.Is(err, ErrRange) {
				t.Errorf("%s: %d: %v", c.name, x, err)
			}
		}
	}
	for _, c := range []Check{Unchecked, Signed(64), Unsigned(64)} {
		if _, _, ok := c.Limits(); ok || c.Verify(math.MinInt64) != nil || c.Verify(math.MaxInt64) != nil {
			t.Errorf("%+v refuses something", c)
		}
	}
	if err := Signed(28).Align(4).Verify(6); !errors.Is(err, ErrAlign) {
		t.Errorf("6, aligned to 4: %v", err)
	}
	if err := Unchecked.Align(8).Verify(4); !errors.Is(err, ErrAlign) {
		t.Errorf("4, aligned to 8, of any size: %v", err)
	}
	if err := Signed(28).Align(4).Verify(-8); err != nil {
		t.Errorf("-8, aligned to 4: %v", err)
	}
}

func all(o Operands) int64 {
	return int64(o.S) + int64(o.G) + int64(o.GOT) + o.TP + o.DTP + o.A - int64(o.P)
}

func TestSolve(t *testing.T) {
	o := Operands{S: 1, G: 20, GOT: 300, TP: -4000, DTP: 50000, A: 600000, P: 7000000}
	for by, want := range map[byte]int64{'S': 1, 'G': 20, 'B': 300, 'T': -4000, 'D': 50000} {
		e := Linear(by, "all", all)
		if got, v, ok := e.Solve(e.Eval(o), o); got != by || v != want || !ok {
			t.Errorf("%c: %c = %d, %v; want %d", by, got, v, ok, want)
		}
	}
	if _, _, ok := Calc("all", all).Solve(1, o); ok {
		t.Error("an expression that is not linear was solved")
	}
}

func TestApply(t *testing.T) {
	h := Data(2, Linear('S', "S + A", func(o Operands) int64 { return int64(o.S) + o.A }), Signed(16).Align(2)).Needs(NeedStub)
	h.Name = "R_TEST"
	if h.Need != NeedStub {
		t.Error("the need was lost")
	}
	place := []byte{0xff, 0xff, 0xff}
	if err := h.Apply(place, Operands{S: 0x1234, A: -2}); err != nil || !bytes.Equal(place, []byte{0x32, 0x12, 0xff}) {
		t.Errorf("% x, %v", place, err)
	}
	for _, c := range []struct {
		place []byte
		s     Addr
		want  error
		text  string
	}{
		{[]byte{1, 2}, 0x8000, ErrRange, "R_TEST: S + A = 0x8000: out of range"},
		{[]byte{1, 2}, 1, ErrAlign, "R_TEST: S + A = 0x1: misaligned"},
		{[]byte{1}, 0, ErrPlace, "R_TEST: place is cut short"},
	} {
		before := bytes.Clone(c.place)
		err := h.Apply(c.place, Operands{S: c.s})
		if !errors.Is(err, c.want) || err.Error() != c.text || !bytes.Equal(c.place, before) {
			t.Errorf("% x, %v; want %q", c.place, err, c.text)
		}
	}
	if err := Marker.Apply(nil, Operands{}); err != nil {
		t.Errorf("a marker: %v", err)
	}
	if !bytes.Equal(h.Mask(), []byte{0xff, 0xff}) || len(Marker.Mask()) != 0 {
		t.Errorf("masks % x, % x", h.Mask(), Marker.Mask())
	}
}

func TestLittleEndian(t *testing.T) {
	for size := 1; size <= 8; size++ {
		for _, x := range []int64{0, 1, -1, 0x7f, -0x80, math.MaxInt64, math.MinInt64, 0x0123456789abcdef} {
			place := bytes.Repeat([]byte{0x5a}, 9)
			LittleEndian(size, false).Put(place, x)
			if !bytes.Equal(place[size:], bytes.Repeat([]byte{0x5a}, 9-size)) {
				t.Errorf("%d bytes of %#x: % x", size, x, place)
			}
			unused := uint(64 - 8*size)
			if got, want := LittleEndian(size, true).Get(place), x<<unused>>unused; got != want {
				t.Errorf("%d signed bytes of %#x: %#x", size, x, got)
			}
			if got, want := LittleEndian(size, false).Get(place), int64(uint64(x)<<unused>>unused); got != want {
				t.Errorf("%d bytes of %#x: %#x", size, x, got)
			}
		}
	}
}

func TestTable(t *testing.T) {
	rows := Table(map[int]Howto{7: Marker}, func(typ uint32) string { return "seven" })
	if len(rows) != 1 || rows[7].Name != "seven" {
		t.Errorf("%+v", rows)
	}
}

func TestRewrite(t *testing.T) {
	r := Rewrite{
		Name: "test", Start: -2, End: 3, Bytes: []byte{1, 0, 0, 2, 3}, Off: -1, AddendDelta: 4,
		Howto: Data(2, Linear('S', "S + A - P", func(o Operands) int64 { return int64(o.S) + o.A - int64(o.P) }), Signed(16)),
	}
	o := Operands{S: 0x2000, A: -4, P: 0x1001}
	code, err := r.Expect(o)
	if want := []byte{1, 0x00, 0x10, 2, 3}; err != nil || !bytes.Equal(code, want) {
		t.Fatalf("% x, %v; want % x", code, err, want)
	}
	if r.Bytes[2] != 0 {
		t.Error("the rewrite itself was changed")
	}
	if by, v, ok := r.Solve(code, o); by != 'S' || v != 0x2000 || !ok {
		t.Errorf("%c = %#x, %v", by, v, ok)
	}
	if _, _, ok := r.Solve(code[:2], o); ok {
		t.Error("solved from bytes that are cut short")
	}
	o.S = 0x20000
	if _, err := r.Expect(o); !errors.Is(err, ErrRange) {
		t.Errorf("out of range: %v", err)
	}
	r.Off = 2
	if _, err := r.Expect(o); !errors.Is(err, ErrPlace) {
		t.Errorf("a field outside: %v", err)
	}
}

func TestKindString(t *testing.T) {
	for k := Plain; k <= Stop; k++ {
		if k.String() == "" {
			t.Errorf("kind %d has no name", k)
		}
	}
}
