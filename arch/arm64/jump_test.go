// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/arch/arm64/arm64asm"

	"github.com/ulpatch/ulpatch/arch"
)

const middle = arch.Addr(0x7f0000000000)

func disasm(t *testing.T, code []byte, want ...string) {
	t.Helper()
	if len(code) != len(want)*wordSize {
		t.Errorf("%d bytes, want %d instructions", len(code), len(want))
		return
	}
	for i, w := range want {
		x, err := arm64asm.Decode(code[i*wordSize:])
		if err != nil || x.String() != w {
			t.Errorf("instruction %d: arm64asm reads %v, %v; want %s", i, x, err, w)
		}
	}
}

func TestJump(t *testing.T) {
	for _, c := range []struct {
		d    int64
		want error
	}{
		{0, nil}, {4, nil}, {-4, nil}, {0x1234568, nil}, {-0x1234568, nil}, {reach, nil}, {-reach, nil},
		{1<<27 - 4, nil}, {-1 << 27, nil}, {1 << 27, arch.ErrRange}, {-1<<27 - 4, arch.ErrRange},
		{1 << 40, arch.ErrRange}, {-1 << 40, arch.ErrRange}, {2, arch.ErrAlign}, {-1, arch.ErrAlign},
	} {
		to := middle + arch.Addr(c.d)
		code, err := Arch.Jump(middle, to)
		if c.want != nil {
			if !errors.Is(err, c.want) || code != nil {
				t.Errorf("%#x: % x, %v", c.d, code, err)
			}
			continue
		}
		if err != nil || len(code) != Arch.JumpSize {
			t.Fatalf("%#x: % x, %v", c.d, code, err)
		}
		x, err := arm64asm.Decode(code)
		if err != nil || x.Op != arm64asm.B || int64(x.Args[0].(arm64asm.PCRel)) != c.d {
			t.Errorf("%#x: arm64asm reads %v, %v", c.d, x, err)
		}
		insn, err := Arch.Decode(code, middle)
		if err != nil || insn.Kind != arch.Jump || insn.Len != jumpSize || insn.Target != to {
			t.Errorf("%#x: decoded %+v, %v", c.d, insn, err)
		}
	}
}

func TestFarJump(t *testing.T) {
	for _, to := range []arch.Addr{0, middle, 0xffff800000000000} {
		code := Arch.FarJump(to)
		if len(code) != Arch.FarJumpSize || binary.LittleEndian.Uint64(code[8:]) != uint64(to) {
			t.Fatalf("% x", code)
		}
		disasm(t, code[:8], "LDR X16, .+0x8", "BR X16")
		if tramp, ok := trampoline(code, middle); !ok || tramp != (arch.Trampoline{Len: 8, To: to}) {
			t.Errorf("%#x: %+v, %v", uint64(to), tramp, ok)
		}
	}
}

func TestStub(t *testing.T) {
	for _, c := range []struct {
		d    int64
		want error
	}{
		{0, nil}, {8, nil}, {-8, nil}, {0xff8, nil}, {0x12345678, nil}, {-0x12345678, nil}, {farReach, nil}, {-farReach, nil},
		{1<<32 - 8, nil}, {-1 << 32, nil}, {1 << 32, arch.ErrRange}, {-1<<32 - 8, arch.ErrRange}, {4, arch.ErrAlign},
	} {
		at := middle
		if c.want == nil {
			at += 0x10 // anywhere in its page
		}
		slot := middle + arch.Addr(c.d)
		code, err := Arch.Stub(at, slot)
		if c.want != nil {
			if !errors.Is(err, c.want) || code != nil {
				t.Errorf("%#x: % x, %v", c.d, code, err)
			}
			continue
		}
		if err != nil || len(code) != Arch.StubSize {
			t.Fatalf("%#x: % x, %v", c.d, code, err)
		}
		page, err := arm64asm.Decode(code)
		if err != nil || page.Op != arm64asm.ADRP || page.Args[0] != arm64asm.X16 {
			t.Fatalf("%#x: arm64asm reads %v, %v", c.d, page, err)
		}
		load := wordAt(code, 4)
		if got := at&^0xfff + arch.Addr(page.Args[1].(arm64asm.PCRel)) + arch.Addr(load>>10&0xfff*8); got != slot {
			t.Errorf("%#x: reads %#x", c.d, uint64(got))
		}
		disasm(t, words(load&^(0xfff<<10)), "LDR X16, [X16]")
		disasm(t, code[8:], "BR X16", "NOP ")
	}
}

// TestPads are the first instructions that functions have, and what may be done
// about them.
func TestPads(t *testing.T) {
	for _, c := range []struct {
		name  string
		word  uint32
		skip  int
		pad   bool
		lands bool
	}{
		{"bti c", 0xd503245f, 4, false, true},
		{"bti j", 0xd503249f, 4, false, true},
		{"bti jc", 0xd50324df, 4, false, true},
		{"bti, for nothing", 0xd503241f, 0, false, false},
		{"paciasp", 0xd503233f, 0, true, true},
		{"pacibsp", 0xd503237f, 0, true, true},
		{"paciasppc", 0xdac1a3fe, 0, true, true},
		{"pacibsppc", 0xdac1a7fe, 0, true, true},
		{"pacnbiasppc, for nothing", 0xdac183fe, 0, false, false},
		{"paciaz", 0xd503231f, 0, false, false},
		{"autiasp", 0xd50323bf, 0, false, false},
		{"nop", nop, 0, false, false},
		{"stp", 0xa9bf7bfd, 0, false, false},
	} {
		code := words(c.word, ret)
		e := Arch.Entry(code)
		if e.Skip != c.skip || (e.Pad != nil) != c.pad || c.pad && !bytes.Equal(e.Pad, landingPad) {
			t.Errorf("%s: %+v", c.name, e)
		}
		if got, want := e.Size(jumpSize), jumpSize+c.skip+len(e.Pad); got != want {
			t.Errorf("%s: %d bytes", c.name, got)
		}
		if Arch.Lands(code) != c.lands {
			t.Errorf("%s: lands %v", c.name, !c.lands)
		}
		// What is at the entry afterwards is a pad if one was there.
		patched := append(bytes.Clone(code[:e.Skip]), e.Pad...)
		if Arch.Lands(patched) != c.lands {
			t.Errorf("%s: an indirect call lands on % x", c.name, patched)
		}
		for n := range wordSize {
			if e := Arch.Entry(code[:n]); e.Skip != 0 || e.Pad != nil || Arch.Lands(code[:n]) {
				t.Errorf("%s: %d bytes of it", c.name, n)
			}
		}
	}
	e := Arch.Entry(words(paciasp))
	e.Pad[0] = 0
	if !bytes.Equal(landingPad, words(btiC)) {
		t.Error("the pad is shared")
	}
	disasm(t, landingPad, "HINT #0x22")
}

func TestTLSDescReturn(t *testing.T) {
	if !Arch.Lands(Arch.TLSDescReturn) {
		t.Error("it is called indirectly and has no landing pad")
	}
	disasm(t, Arch.TLSDescReturn[wordSize:], "LDR X0, [X0,#8]", "RET X30")
}

// TestTPOffset compares with glibc's way to the same (_dl_determine_tlsoffset
// for the first module, TLS_DTV_AT_TP), which looks different, and with lld's.
func TestTPOffset(t *testing.T) {
	roundup := func(v, n uint64) uint64 { return (v + n - 1) / n * n }
	const tcb = 16
	for _, align := range []uint64{0, 1, 2, 4, 8, 16, 32, 64, 4096} {
		for _, vaddr := range []uint64{0, 1, 8, 0x3df8, 0x4000, 0x400010, 0x40003c} {
			a := max(align, 1)
			first := -vaddr & (a - 1)
			off := roundup(tcb, a)
			if off-tcb < first {
				off += a
			}
			block := off - first
			for _, at := range []uint64{0, 4, 0x12345} {
				if got, want := Arch.TPOffset(at, 0x20000, align, vaddr), int64(at+block); got != want {
					t.Errorf("offset %d, align %d at %#x: %d, want %d", at, align, vaddr, got, want)
				}
			}
			if start := Arch.TPOffset(0, 0, align, vaddr); (uint64(start)-vaddr)&(a-1) != 0 || start < tcb || start >= tcb+int64(a) {
				t.Errorf("align %d at %#x: starts at %d", align, vaddr, start)
			}
		}
	}
}
