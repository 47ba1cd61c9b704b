// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"path/filepath"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

// defsyms gives the linker the addresses of symbols.
func defsyms(values map[string]uint64) []string {
	var args []string
	for name, v := range values {
		args = append(args, fmt.Sprintf("--defsym=%s=%#x", name, v))
	}
	return args
}

func sectionStarts(at map[string]uint64) []string {
	var args []string
	for name, v := range at {
		args = append(args, fmt.Sprintf("--section-start=%s=%#x", name, v))
	}
	return args
}

// unlinked are the rows that no linker at hand can be asked about.
var unlinked = map[elf.R_X86_64]string{
	rCode4GOTPCRELX:      "APX: not known to binutils 2.40",
	rCode4GOTTPOFF:       "APX: not known to binutils 2.40",
	rCode4GOTPC32TLSDesc: "APX: not known to binutils 2.40",
}

// TestLinkerOracle compares each byte that ld writes with what the table does.
// In the second layout every field that can has the complement of the first.
func TestLinkerOracle(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"relocs", "relocs_pic"} {
		run(t, "as", "--64", "-o", in(name+".o"), filepath.Join("testdata", name+".s"))
	}
	const f = 0x40000000
	covered := map[elf.R_X86_64]bool{}
	for _, layout := range []struct {
		name, object string
		args         []string
		symbols      map[string]uint64
		sections     map[string]uint64
	}{
		{
			"static, forward", "relocs", []string{"--no-relax"},
			map[string]uint64{
				"value_64": 0x5555555555555544, "value_32": 0x55555544, "value_32s": 0x55555544, "value_16": 0x5544, "value_8": 0x44,
				"value_pc32": f + 0x55555544, "value_pc16": f + 0x5544, "value_pc8": f + 0x30 + 0x44,
			},
			map[string]uint64{".fixture": f, ".text": f + 0x5500000, ".got": f + 0x15555550, ".got.plt": f + 0x35555558, ".data": 0x10000000},
		},
		{
			"static, back", "relocs", []string{"--no-relax"},
			map[string]uint64{
				"value_64": 0xaaaaaaaaaaaaaa99, "value_32": 0xaaaaaa99, "value_32s": 0xffffffffaaaaaa99, "value_16": 0xaa99, "value_8": 0x99,
				"value_pc32": f - 0x3aaaaabb, "value_pc16": f - 0x5566, "value_pc8": f + 0x30 - 0x66,
			},
			map[string]uint64{".fixture": f, ".got": f - 0x15555558, ".got.plt": f - 0x35555558, ".data": 0x10000000},
		},
		{"shared, forward", "relocs_pic", []string{"-shared", "-z", "separate-code"}, nil,
			map[string]uint64{".fixture": f, ".got": f + 0x15555558, ".got.plt": f + 0x35555558, ".data": f + 0x25555000, ".dynamic": f + 0x1000000}},
		{"shared, back", "relocs_pic", []string{"-shared", "-z", "separate-code"}, nil,
			map[string]uint64{".fixture": f, ".got": f - 0x15555558, ".got.plt": f - 0x35555558, ".data": f - 0x25555000, ".dynamic": f - 0x1000000}},
	} {
		t.Run(layout.name, func(t *testing.T) {
			out := in(layout.name)
			args := append(layout.args, "-e", "fixture_start", "--no-warn-rwx-segments", "-o", out, in(layout.object+".o"))
			args = append(args, defsyms(layout.symbols)...)
			run(t, "ld", append(args, sectionStarts(layout.sections)...)...)
			oracle(t, in(layout.object+".o"), out, covered)
		})
	}
	for typ := range Relocs {
		reason, listed := unlinked[typ]
		if !covered[typ] && !listed {
			t.Errorf("%s has no fixture", relocName(uint32(typ)))
		}
		if covered[typ] && listed {
			t.Errorf("%s is covered and listed as %q", relocName(uint32(typ)), reason)
		}
	}
}

// oracle applies the relocations of the fixture to stale places, and wants the
// bytes that the linker has.
func oracle(t *testing.T, object, linked string, covered map[elf.R_X86_64]bool) {
	t.Helper()
	obj := openELF(t, object)
	orig := sectionData(t, obj, ".fixture")
	im := openImage(t, linked, len(orig))
	want := bytes.Clone(orig)
	for _, r := range relocsOf(t, obj, ".fixture") {
		where := fmt.Sprintf("%#x: %s against %s", r.off, relocName(r.typ), r.name)
		howto, ok := Arch.Relocs[r.typ]
		if !ok {
			t.Fatalf("%s: no such row", where)
		}
		s := im.symbols[r.name]
		o := arch.Operands{
			S: arch.Addr(s.Value), A: r.addend, P: im.base + arch.Addr(r.off), Z: s.Size,
			GOT: arch.Addr(im.symbols["_GLOBAL_OFFSET_TABLE_"].Value),
		}
		if elf.ST_TYPE(s.Info) == elf.STT_TLS {
			o.TP, o.DTP = im.tpOffset(s.Value), int64(s.Value)
		}
		if by, v, ok := howto.Expr.Solve(howtoField(howto, im.text[r.off:]), o); ok {
			switch {
			case by == 'G':
				o.G = arch.Addr(v)
				checkSlot(t, im, where, howto.Need, o)
			case by == 'S' && s.Section == elf.SHN_UNDEF:
				if !im.in(uint64(v), ".plt") {
					t.Errorf("%s: %#x is not in the PLT", where, v)
				}
				o.S = arch.Addr(v)
			}
		}
		place := want[r.off : r.off+howto.Size]
		for i := range place { // stale bits
			place[i] ^= byte(0xff >> (i & 1))
		}
		if err := howto.Apply(place, o); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		covered[elf.R_X86_64(r.typ)] = true
		if !bytes.Equal(place, im.text[r.off:][:howto.Size]) {
			t.Errorf("%s: % x, linker: % x", where, place, im.text[r.off:][:howto.Size])
		}
	}
	if !bytes.Equal(want, im.text) {
		t.Errorf("% x, linker: % x", want, im.text)
	}
}

func howtoField(h arch.Howto, place []byte) int64 {
	if h.Size == 0 {
		return 0
	}
	return h.Field.Get(place[:h.Size])
}

// checkSlot wants that the slot that a field led to is the symbol's: it holds
// what its kind holds, or has the dynamic relocation that puts it there.
func checkSlot(t *testing.T, im image, where string, need arch.Need, o arch.Operands) {
	t.Helper()
	if !im.in(uint64(o.G), ".got") {
		t.Errorf("%s: slot %#x is not in the GOT", where, uint64(o.G))
		return
	}
	for _, s := range im.file.Sections {
		if s.Type != elf.SHT_RELA {
			continue
		}
		data, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		for ; len(data) >= 24; data = data[24:] {
			if binary.LittleEndian.Uint64(data) != uint64(o.G) {
				continue
			}
			got := binary.LittleEndian.Uint32(data[8:])
			d := Arch.Dynamic
			want := map[arch.Need]uint32{
				arch.NeedGOT: d.GlobDat, arch.NeedGOTTP: d.TPOff, arch.NeedTLSGD: d.DTPMod, arch.NeedTLSLD: d.DTPMod, arch.NeedTLSDesc: d.TLSDesc,
			}[need]
			if got != want && got != d.JumpSlot {
				t.Errorf("%s: dynamic relocation %s of the slot, want %s", where, relocName(got), relocName(want))
			}
			return
		}
	}
	slot := make([]byte, 8)
	for _, s := range im.file.Sections {
		if uint64(o.G) >= s.Addr && uint64(o.G) < s.Addr+s.Size && s.Flags&elf.SHF_ALLOC != 0 {
			if _, err := s.ReadAt(slot, int64(uint64(o.G)-s.Addr)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if v := binary.LittleEndian.Uint64(slot); need != arch.NeedGOT || v != uint64(o.S) {
		t.Errorf("%s: the slot holds %#x, want %#x", where, v, uint64(o.S))
	}
}

// TestFormulas holds the rows that have no fixture to the psABI, by hand: the
// value is G + A - P.
func TestFormulas(t *testing.T) {
	for typ := range unlinked {
		h := Relocs[typ]
		if h.Check != arch.Signed(32) || h.Size != 4 {
			t.Errorf("%s is not a signed word32", relocName(uint32(typ)))
		}
		o := arch.Operands{G: 0x12345678, A: -4, P: 0x2000, S: 0x7777, GOT: 0x8888, TP: 0x9999}
		if got := h.Expr.Eval(o); got != 0x12345678-4-0x2000 {
			t.Errorf("%s: %#x", relocName(uint32(typ)), got)
		}
	}
}

// TestBitWalk: each bit of X goes to one bit of the place of its own.
func TestBitWalk(t *testing.T) {
	for typ, h := range Relocs {
		if h.Size == 0 {
			continue
		}
		var all uint64
		for k := range 64 {
			place := make([]byte, 8)
			h.Field.Put(place[:h.Size], 1<<k)
			word := binary.LittleEndian.Uint64(place)
			if bits.OnesCount64(word) > 1 || word&all != 0 {
				t.Errorf("%s: bit %d sets %#x, others %#x", relocName(uint32(typ)), k, word, all)
			}
			all |= word
		}
		if bits.OnesCount64(all) != 8*h.Size {
			t.Errorf("%s: %#x is not the whole place", relocName(uint32(typ)), all)
		}
		for _, b := range h.Mask() {
			if b != 0xff {
				t.Errorf("%s: mask % x", relocName(uint32(typ)), h.Mask())
			}
		}
	}
}

// TestChecks holds the ranges to the psABI, apart from the table: word64 has
// none, 32 and SIZE32 extend with zeros, 16 and 8 do either, all else has a sign.
func TestChecks(t *testing.T) {
	for typ, h := range Relocs {
		want := arch.Unchecked
		switch {
		case h.Size == 0 || h.Size == 8:
		case typ == elf.R_X86_64_32 || typ == elf.R_X86_64_SIZE32:
			want = arch.Unsigned(32)
		case typ == elf.R_X86_64_16 || typ == elf.R_X86_64_8:
			want = arch.Either(uint(8 * h.Size))
		default:
			want = arch.Signed(uint(8 * h.Size))
		}
		if h.Check != want {
			t.Errorf("%s: %+v, want %+v", relocName(uint32(typ)), h.Check, want)
		}
	}
}

// TestEdges tries each checked row at its limits, in a place with stale bits.
func TestEdges(t *testing.T) {
	for typ, h := range Relocs {
		lo, hi, ok := h.Check.Limits()
		if !ok {
			continue
		}
		for _, c := range []struct {
			x  int64
			in bool
		}{{lo, true}, {lo + 1, true}, {0, true}, {hi - 1, true}, {hi, true}, {lo - 1, false}, {hi + 1, false}, {-1 << 62, false}, {1 << 62, false}} {
			for _, stale := range []byte{0x00, 0xff, 0x5a} {
				place := bytes.Repeat([]byte{stale}, 10)
				before := bytes.Clone(place)
				err := h.Apply(place[1:], arch.Operands{A: c.x})
				switch {
				case c.in && err != nil:
					t.Errorf("%s: X = %#x: %v", h.Name, c.x, err)
				case !c.in && !errors.Is(err, arch.ErrRange):
					t.Errorf("%s: X = %#x: %v, want an error of range", h.Name, c.x, err)
				case !c.in && !bytes.Equal(place, before):
					t.Errorf("%s: X = %#x: refused and written", h.Name, c.x)
				case c.in && (place[0] != stale || !bytes.Equal(place[1+h.Size:], before[1+h.Size:])):
					t.Errorf("%s: X = %#x: written outside the place", h.Name, c.x)
				case c.in && h.Field.Get(place[1:][:h.Size])&(1<<(8*h.Size)-1) != c.x&(1<<(8*h.Size)-1):
					t.Errorf("%s: X = %#x: %#x read back", h.Name, c.x, h.Field.Get(place[1:][:h.Size]))
				}
			}
		}
		if err := h.Apply(make([]byte, h.Size-1), arch.Operands{}); !errors.Is(err, arch.ErrPlace) {
			t.Errorf("%s: a short place: %v", relocName(uint32(typ)), err)
		}
	}
}

// FuzzApplyReloc: nothing is written on an error, nothing outside the place, and
// what was written solves to what it was made of.
func FuzzApplyReloc(f *testing.F) {
	f.Add(uint32(elf.R_X86_64_PC32), uint64(0x401000), int64(-4), uint64(0x400000), []byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add(uint32(elf.R_X86_64_64), uint64(1)<<63, int64(8), uint64(0), []byte{0xff})
	f.Add(uint32(elf.R_X86_64_8), uint64(0xff), int64(1), uint64(0), []byte{0})
	f.Fuzz(func(t *testing.T, typ uint32, v uint64, a int64, p uint64, place []byte) {
		h, ok := Arch.Relocs[typ%64]
		if !ok {
			return
		}
		o := arch.Operands{S: arch.Addr(v), G: arch.Addr(v), GOT: arch.Addr(v >> 1), TP: int64(v), DTP: int64(v), Z: v, A: a, P: arch.Addr(p)}
		before := bytes.Clone(place)
		if err := h.Apply(place, o); err != nil {
			if !bytes.Equal(place, before) {
				t.Fatalf("%s: %v, and written", h.Name, err)
			}
			return
		}
		if !bytes.Equal(place[h.Size:], before[h.Size:]) {
			t.Fatalf("%s: written outside the place", h.Name)
		}
		if h.Size == 0 {
			return
		}
		x := h.Field.Get(place[:h.Size])
		if by, got, ok := h.Expr.Solve(x, o); ok && h.Size >= 4 {
			want := map[byte]uint64{'S': v, 'G': v, 'T': v, 'D': v, 'B': v >> 1}[by]
			if uint64(got) != want {
				t.Fatalf("%s: solved to %c = %#x, want %#x", h.Name, by, got, want)
			}
		}
	})
}
