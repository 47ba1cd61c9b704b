// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"debug/elf"
	"errors"
	"path/filepath"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

// TestPCAdjust: all PC-relative operands in the fixture refer to the start of
// one symbol, whatever follows their fields.
func TestPCAdjust(t *testing.T) {
	object := filepath.Join(t.TempDir(), "insns.o")
	run(t, "as", "--64", "-o", object, filepath.Join("testdata", "insns.s"))
	f := openELF(t, object)
	code := sectionData(t, f, ".text")
	relocs := relocsOf(t, f, ".text")

	addends, branches := map[int64]int{}, 0
	for at := 0; at < len(code); {
		insn, err := decode(code[at:], arch.Addr(at))
		if err != nil {
			t.Fatalf("%#x: %v", at, err)
		}
		for ; len(relocs) > 0 && relocs[0].off < at+insn.Len; relocs = relocs[1:] {
			r := relocs[0]
			adjust, err := Arch.PCAdjust(code, at, r.off)
			if err != nil {
				t.Fatalf("%#x: %v", r.off, err)
			}
			direct := insn.Kind == arch.Call || insn.Kind == arch.Jump || insn.Kind == arch.CondJump
			if got := Arch.BranchReloc(r.typ, code, r.off); got != direct {
				t.Errorf("%#x: % x: branch %v, want %v", r.off, code[at:at+insn.Len], got, direct)
			}
			if direct {
				branches++
			}
			if !insn.PCRel { // $outside - .
				if adjust != 0 {
					t.Errorf("%#x: an immediate is adjusted by %d", r.off, adjust)
				}
				continue
			}
			if r.addend+adjust != 0 {
				t.Errorf("%#x: % x: addend %d, adjusted by %d", r.off, code[at:at+insn.Len], r.addend, adjust)
			}
			addends[r.addend]++
		}
		at += insn.Len
	}
	for _, a := range []int64{-4, -5, -6, -8} {
		if addends[a] == 0 {
			t.Errorf("no operand has the addend %d", a)
		}
	}
	if branches < 5 {
		t.Errorf("%d branches", branches)
	}
}

func TestPCAdjustErrors(t *testing.T) {
	code := []byte{0x90, 0xe8, 0, 0, 0, 0, 0x0f}
	for _, c := range []struct {
		insn, reloc int
		want        error
	}{
		{-1, 0, arch.ErrShort}, {8, 9, arch.ErrShort}, {6, 6, arch.ErrShort}, {7, 7, arch.ErrShort},
		{1, 0, arch.ErrPlace}, {1, 6, arch.ErrPlace}, {0, 2, arch.ErrPlace},
	} {
		if v, err := Arch.PCAdjust(code, c.insn, c.reloc); !errors.Is(err, c.want) || v != 0 {
			t.Errorf("%d, %d: %d, %v, want %v", c.insn, c.reloc, v, err, c.want)
		}
	}
	if v, err := Arch.PCAdjust(code, 1, 2); v != 4 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
}

func TestBranchReloc(t *testing.T) {
	for _, c := range []struct {
		name string
		typ  elf.R_X86_64
		code []byte // up to the field
		want bool
	}{
		{"call", elf.R_X86_64_PLT32, []byte{0xe8}, true},
		{"call, local", elf.R_X86_64_PC32, []byte{0xe8}, true},
		{"jmp", elf.R_X86_64_PLT32, []byte{0xe9}, true},
		{"jo", elf.R_X86_64_PC32, []byte{0x0f, 0x80}, true},
		{"jg", elf.R_X86_64_PLT32, []byte{0x0f, 0x8f}, true},
		{"lea", elf.R_X86_64_PC32, []byte{0x48, 0x8d, 0x05}, false},
		{"call through memory", elf.R_X86_64_PC32, []byte{0xff, 0x15}, false},
		{"a slot", elf.R_X86_64_GOTPCRELX, []byte{0xff, 0x15}, false},
		{"an address", elf.R_X86_64_64, []byte{0x48, 0xb8}, false},
		{"a PLT address", elf.R_X86_64_32, []byte{0xe8}, false},
		{"nothing before", elf.R_X86_64_PC32, nil, false},
		{"half of jcc", elf.R_X86_64_PC32, []byte{0x84}, false},
	} {
		code := append(append([]byte(nil), c.code...), 0, 0, 0, 0)
		if got := Arch.BranchReloc(uint32(c.typ), code, len(c.code)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	for _, off := range []int{-1, 0, 6, 100} {
		if Arch.BranchReloc(uint32(elf.R_X86_64_PC32), []byte{0xe8, 0, 0, 0, 0}, off) {
			t.Errorf("a branch at %d", off)
		}
	}
}

func TestAccessReloc(t *testing.T) {
	for _, c := range []struct {
		name string
		code []byte
		off  int
		want bool
	}{
		{"mov x(%rip), %eax", []byte{0x8b, 0x05, 0, 0, 0, 0}, 2, true},
		{"movq $1, x(%rip)", []byte{0x48, 0xc7, 0x05, 0, 0, 0, 0, 1, 0, 0, 0}, 3, true},
		{"cmpb $0, x(%rip)", []byte{0x80, 0x3d, 0, 0, 0, 0, 0}, 2, true},
		{"movaps x(%rip), %xmm0", []byte{0x0f, 0x28, 0x05, 0, 0, 0, 0}, 3, true},
		{"call *x(%rip)", []byte{0xff, 0x15, 0, 0, 0, 0}, 2, true},
		{"vmovdqa x(%rip), %ymm0", []byte{0xc5, 0xfd, 0x6f, 0x05, 0, 0, 0, 0}, 4, true},
		{"lea x(%rip), %rax", []byte{0x48, 0x8d, 0x05, 0, 0, 0, 0}, 3, false},
		{"prefetcht0 x(%rip)", []byte{0x0f, 0x18, 0x0d, 0, 0, 0, 0}, 3, false},
		{"prefetchw x(%rip)", []byte{0x0f, 0x0d, 0x0d, 0, 0, 0, 0}, 3, false},
		{"nopl x(%rip)", []byte{0x0f, 0x1f, 0x05, 0, 0, 0, 0}, 3, false},
		{"call x", []byte{0xe8, 0, 0, 0, 0}, 1, false},
		{"mov x(,%rax,4), %eax", []byte{0x8b, 0x04, 0x85, 0, 0, 0, 0}, 3, false},
		{"mov $x, %eax", []byte{0xb8, 0, 0, 0, 0}, 1, false},
		{"movq $x, y(%rip)", []byte{0x48, 0xc7, 0x05, 0, 0, 0, 0, 1, 0, 0, 0}, 7, false},
		{"cut short", []byte{0x8b, 0x05, 0}, 2, false},
	} {
		if got := Arch.AccessReloc(uint32(elf.R_X86_64_PC32), c.code, 0, c.off); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if Arch.AccessReloc(0, []byte{0x90}, 2, 0) {
		t.Error("an instruction behind the code accesses something")
	}
}
