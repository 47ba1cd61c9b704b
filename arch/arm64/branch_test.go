// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"debug/elf"
	"errors"
	"path/filepath"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

// TestFieldReloc: of each instruction that refers to another section, the
// assembler emits the type that is told here.
func TestFieldReloc(t *testing.T) {
	object := filepath.Join(t.TempDir(), "fields.o")
	run(t, tool("as"), "-o", object, filepath.Join("testdata", "fields.s"))
	f := openELF(t, object)
	code := sectionData(t, f, ".text")
	relocs := map[int]uint32{}
	for _, r := range relocsOf(t, f, ".text") {
		relocs[r.off] = r.typ
	}
	types := map[uint32]bool{}
	for off := 0; off < len(code); off += wordSize {
		typ, ok := Arch.FieldReloc(code[off:])
		want, has := relocs[off]
		insn, err := decode(code[off:], 0)
		if err != nil {
			t.Fatal(err)
		}
		if ok != insn.PCRel || ok != has || ok && typ != want {
			t.Errorf("%#x: %s, %v; want %s, %v", off, relocName(typ), ok, relocName(want), has)
		}
		direct := insn.Kind == arch.Call || insn.Kind == arch.Jump || insn.Kind == arch.CondJump
		if ok && Arch.BranchReloc(typ, code, off) != direct {
			t.Errorf("%#x: %s: branch %v", off, relocName(typ), !direct)
		}
		types[typ] = true
	}
	if len(types) != 8 { // with 0
		t.Errorf("%d types", len(types))
	}
	for n := range wordSize {
		if typ, ok := Arch.FieldReloc(words(b)[:n]); ok {
			t.Errorf("%d bytes: %s", n, relocName(typ))
		}
	}
	if typ, ok := Arch.FieldReloc(words(0x74010040)); ok {
		t.Errorf("cb<cc>, which has no relocation: %s", relocName(typ))
	}
}

func TestPCAdjust(t *testing.T) {
	code := make([]byte, 12)
	for off := 4; off < 8; off++ {
		if v, err := Arch.PCAdjust(code, 4, off); v != 0 || err != nil {
			t.Errorf("%d: %d, %v", off, v, err)
		}
	}
	for _, c := range []struct {
		insn, reloc int
		want        error
	}{
		{-1, 0, arch.ErrShort}, {12, 12, arch.ErrShort}, {9, 9, arch.ErrShort}, {4, 3, arch.ErrPlace}, {4, 8, arch.ErrPlace},
	} {
		if v, err := Arch.PCAdjust(code, c.insn, c.reloc); !errors.Is(err, c.want) || v != 0 {
			t.Errorf("%d, %d: %d, %v, want %v", c.insn, c.reloc, v, err, c.want)
		}
	}
}

func TestAccessReloc(t *testing.T) {
	for _, c := range []struct {
		name string
		typ  elf.R_AARCH64
		word uint32
		want bool
	}{
		{"ldrb w0, [x1, #lo12]", elf.R_AARCH64_LDST8_ABS_LO12_NC, 0x39400020, true},
		{"str x0, [x1, #lo12]", elf.R_AARCH64_LDST64_ABS_LO12_NC, 0xf9000020, true},
		{"ldr q0, [x1, #lo12]", elf.R_AARCH64_LDST128_ABS_LO12_NC, 0x3dc00020, true},
		{"ldr s0, [x1, #lo12]", elf.R_AARCH64_LDST32_ABS_LO12_NC, 0xbd400020, true},
		{"prfm pldl1keep, [x1, #lo12]", elf.R_AARCH64_LDST64_ABS_LO12_NC, 0xf9800020, false},
		{"ldr x0, literal", elf.R_AARCH64_LD_PREL_LO19, 0x58000000, true},
		{"ldr q0, literal", elf.R_AARCH64_LD_PREL_LO19, 0x9c000000, true},
		{"prfm pldl1keep, literal", elf.R_AARCH64_LD_PREL_LO19, 0xd8000000, false},
		{"add x0, x1, #lo12", elf.R_AARCH64_ADD_ABS_LO12_NC, 0x91000020, false},
		{"adrp x0", elf.R_AARCH64_ADR_PREL_PG_HI21, 0x90000000, false},
		{"ldr x0, [x1, #got]", elf.R_AARCH64_LD64_GOT_LO12_NC, 0xf9400020, false},
		{"bl", elf.R_AARCH64_CALL26, 0x94000000, false},
		{"data", elf.R_AARCH64_ABS64, 0x39400020, false},
	} {
		code := words(nop, c.word)
		if got := Arch.AccessReloc(uint32(c.typ), code, 4, 4); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		if Arch.AccessReloc(uint32(c.typ), code, 8, 8) || Arch.AccessReloc(uint32(c.typ), code, -4, -4) {
			t.Errorf("%s: outside of the code", c.name)
		}
	}
}
