// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

// TestThunks links calls that don't reach, and follows them.
func TestThunks(t *testing.T) {
	dir := t.TempDir()
	object, out := filepath.Join(dir, "far.o"), filepath.Join(dir, "far")
	run(t, tool("as"), "-o", object, filepath.Join("testdata", "far.s"))
	size := len(sectionData(t, openELF(t, object), ".text"))
	for _, l := range linkers() {
		if !l.bfd() {
			continue // the others move all sections behind .far
		}
		for _, way := range [][]string{
			{"--section-start=.far=0x20000000"},
			{"--section-start=.far=0x2000000000"},
			{"-pie", "--section-start=.far=0x20000000"},
			{"-pie", "--section-start=.far=0x2000000000"},
		} {
			l.run(t, append(way, "-e", "fixture_start", "-o", out, object)...)
			im := openImage(t, out, size)
			for _, r := range relocsOf(t, openELF(t, object), ".text") {
				insn, err := decode(im.text[r.off:], im.base+arch.Addr(r.off))
				if err != nil {
					t.Fatal(err)
				}
				if r.name == "elsewhere" {
					continue
				}
				tramp, ok := Arch.Trampoline(im.read(t, uint64(insn.Target), 32), insn.Target)
				if want := arch.Addr(im.symbols[r.name].Value); !ok || tramp.Slot || tramp.To != want {
					t.Errorf("%v: %s: %+v, %v; want %#x", way, r.name, tramp, ok, uint64(want))
				}
			}
		}
	}
}

// TestPLT follows a call through the PLT of each linker, plain and hardened.
func TestPLT(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"far", "other"} {
		run(t, tool("as"), "-o", in(name+".o"), filepath.Join("testdata", name+".s"))
	}
	run(t, tool("ld"), "-shared", "-o", in("libother.so"), in("other.o"))
	size := len(sectionData(t, openELF(t, in("far.o")), ".text"))
	for _, l := range linkers() {
		for _, way := range [][]string{nil, {"-z", "now"}, {"-z", "force-bti"}, {"-z", "pac-plt"}, {"-z", "force-bti", "-z", "pac-plt"}} {
			if len(way) > 0 && l.name == "mold" {
				continue // does not know them
			}
			for _, shared := range [][]string{nil, {"-pie"}, {"-shared"}} {
				args := append(append([]string{"-e", "fixture_start", "-o", in("out"), in("far.o"), in("libother.so")}, way...), shared...)
				l.run(t, args...)
				im := openImage(t, in("out"), size)
				const callElsewhere = 16
				insn, err := decode(im.text[callElsewhere:], im.base+callElsewhere)
				if err != nil || !im.in(uint64(insn.Target), ".plt") {
					t.Fatalf("%s %v %v: %+v, %v", l.name, way, shared, insn, err)
				}
				tramp, ok := Arch.Trampoline(im.read(t, uint64(insn.Target), 32), insn.Target)
				if !ok || !tramp.Slot || !im.hasSlot(t, "elsewhere", uint64(tramp.To)) {
					t.Errorf("%s %v %v: %+v, %v", l.name, way, shared, tramp, ok)
				}
			}
		}
	}
}

// hasSlot says whether the image has a dynamic relocation for name at addr.
func (im image) hasSlot(t *testing.T, name string, addr uint64) bool {
	t.Helper()
	symbols, err := im.file.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range []string{".rela.plt", ".rela.dyn"} {
		s := im.file.Section(section)
		if s == nil {
			continue
		}
		data, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		for ; len(data) >= 24; data = data[24:] {
			n := binary.LittleEndian.Uint64(data[8:]) >> 32
			if n > 0 && symbols[n-1].Name == name && binary.LittleEndian.Uint64(data) == addr {
				return true
			}
		}
	}
	return false
}

func TestTrampolineRefuses(t *testing.T) {
	adrpX := uint32(adrpX16)
	whole := map[string][]uint32{
		"PLT":          {btiC, adrpX, 0xf9400211, 0x91000210, nop, brX17},
		"thunk":        {adrpX, 0x91000210, brX16},
		"short thunk":  {btiC, b | 0x100},
		"absolute":     {ldrX16, brX16, 1, 2},
		"long, of bfd": {ldrX16Far, adrX17, addX16X17, brX16, 1, 2},
	}
	for name, insns := range whole {
		code := words(insns...)
		want, ok := trampoline(code, 0x1000)
		if !ok {
			t.Fatalf("%s: not recognised", name)
		}
		for n := range len(code) {
			if got, ok := trampoline(code[:n], 0x1000); ok && n < want.Len {
				t.Errorf("%s: %d of %d bytes: %+v", name, n, len(code), got)
			}
		}
		for i, w := range insns[:want.Len/wordSize] {
			for bit := range 32 {
				other := append([]uint32(nil), insns...)
				other[i] = w ^ 1<<bit
				if got, ok := trampoline(words(other...), 0x1000); ok && got == want {
					t.Errorf("%s: word %d, %#x instead of %#x: the same %+v", name, i, other[i], w, got)
				}
			}
		}
	}
	// The PLT's x16 is the slot.
	if got, ok := trampoline(words(adrpX, 0xf9400611, 0x91000210, brX17), 0x1000); ok {
		t.Errorf("%+v", got)
	}
}
