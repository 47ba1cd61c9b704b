// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"debug/elf"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

func TestEntry(t *testing.T) {
	for _, c := range []struct {
		code []byte
		skip int
	}{
		{landingPad, 4},
		{slices.Concat(landingPad, []byte{0xc3}), 4},
		{landingPad[:3], 0},
		{[]byte{0xf3, 0x0f, 0x1e, 0xfb}, 0}, // endbr32
		{[]byte{0x55, 0xc3}, 0},
		{nil, 0},
	} {
		e := Arch.Entry(c.code)
		if e.Skip != c.skip || e.Pad != nil || e.Size(jumpSize) != c.skip+5 {
			t.Errorf("% x: %+v", c.code, e)
		}
		if Arch.Lands(c.code) != (c.skip > 0) {
			t.Errorf("% x: lands %v", c.code, c.skip == 0)
		}
	}
}

// TestFieldReloc: of each instruction that refers to another object, the
// assembler emits a type with the meaning of the one that is told here.
func TestFieldReloc(t *testing.T) {
	object := filepath.Join(t.TempDir(), "insns.o")
	run(t, "as", "--64", "-o", object, filepath.Join("testdata", "insns.s"))
	f := openELF(t, object)
	code := sectionData(t, f, ".text")
	relocs := relocsOf(t, f, ".text")
	seen := map[uint32]int{}
	for at := 0; at < len(code); {
		insn, err := decode(code[at:], arch.Addr(at))
		if err != nil {
			t.Fatal(err)
		}
		typ, ok := Arch.FieldReloc(code[at:])
		if ok != insn.PCRel {
			t.Errorf("%#x: % x: %s, %v", at, code[at:at+insn.Len], relocName(typ), ok)
		}
		for ; len(relocs) > 0 && relocs[0].off < at+insn.Len; relocs = relocs[1:] {
			r := relocs[0]
			if !insn.PCRel || r.off != at+insn.FieldOff {
				continue // an immediate
			}
			seen[typ]++
			if want := Relocs[elf.R_X86_64(r.typ)]; typ != r.typ && !(want.Size == Arch.Relocs[typ].Size && want.Expr.Text == Arch.Relocs[typ].Expr.Text) {
				t.Errorf("%#x: % x: %s, the assembler has %s", at, code[at:at+insn.Len], relocName(typ), relocName(r.typ))
			}
		}
		at += insn.Len
	}
	if seen[uint32(elf.R_X86_64_PLT32)] == 0 || seen[uint32(elf.R_X86_64_PC32)] == 0 {
		t.Errorf("%v", seen)
	}
	if typ, ok := Arch.FieldReloc([]byte{0xeb, 0x00}); !ok || elf.R_X86_64(typ) != elf.R_X86_64_PC8 {
		t.Errorf("jmp rel8: %s, %v", relocName(typ), ok)
	}
	if typ, ok := Arch.FieldReloc([]byte{0xe8, 0}); ok {
		t.Errorf("half a call: %s", relocName(typ))
	}
}

// TestTrampoline follows a call through the PLT of each linker.
func TestTrampoline(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	run(t, "as", "--64", "-o", in("other.o"), filepath.Join("testdata", "other.s"))
	run(t, "ld", "-shared", "-o", in("libother.so"), in("other.o"))
	call := assemble(t, "call", ".globl fixture_start\nfixture_start: call elsewhere@PLT\nret\n")
	for _, linker := range linkers() {
		for _, way := range [][]string{nil, {"-z", "now"}, {"-pie"}, {"-z", "ibtplt"}, {"-shared"}} {
			if linker != "ld.bfd" && slices.Contains(way, "ibtplt") {
				continue
			}
			run(t, linker, append([]string{"-e", "fixture_start", "-o", in("out"), call, in("libother.so")}, way...)...)
			im := openImage(t, in("out"), 5)
			insn, err := decode(im.text, im.base)
			if err != nil || insn.Kind != arch.Call {
				t.Fatalf("%s %v: %+v, %v", linker, way, insn, err)
			}
			var code []byte
			for _, s := range im.file.Sections {
				if uint64(insn.Target) >= s.Addr && uint64(insn.Target) < s.Addr+s.Size && s.Flags&elf.SHF_EXECINSTR != 0 {
					data, err := s.Data()
					if err != nil {
						t.Fatal(err)
					}
					code = data[uint64(insn.Target)-s.Addr:]
				}
			}
			tramp, ok := Arch.Trampoline(code, insn.Target)
			if !ok || !tramp.Slot || !im.in(uint64(tramp.To), ".got") {
				t.Errorf("%s %v: % x: %+v, %v", linker, way, code[:min(16, len(code))], tramp, ok)
			}
		}
	}
	for _, code := range [][]byte{{0xe9, 0, 0, 0, 0}, {0xff, 0xe0}, {0xff, 0x15, 0, 0, 0, 0}, {0xff, 0x25, 0}, landingPad, nil} {
		if tramp, ok := Arch.Trampoline(code, 0); ok {
			t.Errorf("% x: %+v", code, tramp)
		}
	}
}
