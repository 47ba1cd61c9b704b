// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"golang.org/x/arch/x86/x86asm"

	"github.com/ulpatch/ulpatch/arch"
)

const middle = arch.Addr(0x7f0000000000)

// distances that a rel32 can and cannot go.
var distances = []struct {
	d  int64
	in bool
}{
	{0, true}, {1, true}, {-1, true}, {0x12345678, true}, {-0x12345678, true},
	{math.MaxInt32, true}, {math.MinInt32, true}, {math.MaxInt32 + 1, false}, {math.MinInt32 - 1, false},
	{1 << 40, false}, {-1 << 40, false}, {reach, true}, {-reach, true},
}

func TestJump(t *testing.T) {
	for _, c := range distances {
		to := middle + jumpSize + arch.Addr(c.d)
		code, err := Arch.Jump(middle, to)
		if !c.in {
			if !errors.Is(err, arch.ErrRange) || code != nil {
				t.Errorf("%#x: % x, %v", c.d, code, err)
			}
			continue
		}
		if err != nil || len(code) != Arch.JumpSize {
			t.Fatalf("%#x: % x, %v", c.d, code, err)
		}
		x, err := x86asm.Decode(code, 64)
		if err != nil || x.Op != x86asm.JMP || x.Len != jumpSize || int64(x.Args[0].(x86asm.Rel)) != c.d {
			t.Errorf("%#x: x86asm reads %v, %v", c.d, x, err)
		}
		insn, err := Arch.Decode(code, middle)
		if err != nil || insn.Kind != arch.Jump || insn.Len != jumpSize || insn.Target != to {
			t.Errorf("%#x: decoded %+v, %v", c.d, insn, err)
		}
	}
}

func TestStub(t *testing.T) {
	for _, c := range distances {
		slot := middle + 6 + arch.Addr(c.d)
		code, err := Arch.Stub(middle, slot)
		if !c.in {
			if !errors.Is(err, arch.ErrRange) || code != nil {
				t.Errorf("%#x: % x, %v", c.d, code, err)
			}
			continue
		}
		if err != nil || len(code) != Arch.StubSize {
			t.Fatalf("%#x: % x, %v", c.d, code, err)
		}
		x, err := x86asm.Decode(code, 64)
		if err != nil || x.Op != x86asm.JMP || x.Len != 6 {
			t.Fatalf("%#x: x86asm reads %v, %v", c.d, x, err)
		}
		if m, ok := x.Args[0].(x86asm.Mem); !ok || m.Base != x86asm.RIP || m.Index != 0 || int64(int32(m.Disp)) != c.d {
			t.Errorf("%#x: x86asm reads %v", c.d, x)
		}
		insn, err := Arch.Decode(code, middle)
		if err != nil || insn.Kind != arch.IndirectJump || insn.Target != slot {
			t.Errorf("%#x: decoded %+v, %v", c.d, insn, err)
		}
		for rest := code[insn.Len:]; len(rest) > 0; rest = rest[1:] {
			if insn, err := Arch.Decode(rest, 0); err != nil || insn.Kind != arch.Stop {
				t.Errorf("% x is no padding", rest)
			}
		}
	}
}

func TestTLSDescReturn(t *testing.T) {
	code, ok := bytes.CutPrefix(Arch.TLSDescReturn, Arch.LandingPad)
	if !ok {
		t.Fatal("it is called indirectly and has no landing pad")
	}
	load, err := x86asm.Decode(code, 64)
	if err != nil || load.String() != "MOV RAX, [RAX+0x8]" {
		t.Errorf("%v, %v", load, err)
	}
	ret, err := x86asm.Decode(code[load.Len:], 64)
	if err != nil || ret.Op != x86asm.RET || load.Len+ret.Len != len(code) {
		t.Errorf("%v, %v", ret, err)
	}
}

// TestTPOffset compares with glibc's way to the same (_dl_determine_tlsoffset
// for the first module), which looks different.
func TestTPOffset(t *testing.T) {
	roundup := func(v, n uint64) uint64 { return (v + n - 1) / n * n }
	for _, align := range []uint64{0, 1, 2, 4, 8, 16, 32, 64, 4096} {
		for _, memsz := range []uint64{0, 1, 4, 7, 8, 12, 63, 64, 65, 4095, 4096, 4097, 0x12345} {
			for _, vaddr := range []uint64{0, 1, 8, 0x3df8, 0x4000, 0x400010, 0x40003c} {
				a := max(align, 1)
				first := -vaddr & (a - 1)
				size := memsz
				if size < first { // glibc's roundup wraps to 0 here
					size = first
				}
				block := roundup(size-first, a) + first
				for _, off := range []uint64{0, 4, memsz} {
					if got, want := Arch.TPOffset(off, memsz, align, vaddr), int64(off)-int64(block); got != want {
						t.Errorf("offset %d, size %d, align %d at %#x: %d, want %d", off, memsz, align, vaddr, got, want)
					}
				}
				if start := Arch.TPOffset(0, memsz, align, vaddr); (uint64(start)-vaddr)&(a-1) != 0 || start > -int64(memsz) {
					t.Errorf("size %d, align %d at %#x: starts at %d", memsz, align, vaddr, start)
				}
			}
		}
	}
}

// TestTPOffsetLive: the compiler, the linker and the C library agree with us, in
// a process of its own.
func TestTPOffsetLive(t *testing.T) {
	dir := t.TempDir()
	for _, flags := range [][]string{{"-O1"}, {"-O1", "-static"}, {"-O1", "-fpie", "-pie"}, {"-O1", "-DALIGN=256"}, {"-O1", "-DALIGN=256", "-static"}} {
		out := dir + "/tls"
		run(t, "gcc", append(flags, "-o", out, "testdata/tls.c")...)
		im := openImage(t, out, 0)
		for _, name := range []string{"first", "second", "third"} {
			got := runOutput(t, out, name)
			if want := decimal(im.tpOffset(im.symbols[name].Value)); got != want {
				t.Errorf("gcc %v: %s is at TP%s, want %s", flags, name, got, want)
			}
		}
	}
}
