// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"path/filepath"
	"strings"
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
var unlinked = map[elf.R_AARCH64]string{
	elf.R_AARCH64_NULL: "withdrawn by the ABI, and refused by binutils 2.40",

	elf.R_AARCH64_TLSLE_LDST128_TPREL_LO12:     "not known to binutils 2.40",
	elf.R_AARCH64_TLSLE_LDST128_TPREL_LO12_NC:  "not known to binutils 2.40",
	elf.R_AARCH64_TLSLD_LDST128_DTPREL_LO12:    "not known to binutils 2.40",
	elf.R_AARCH64_TLSLD_LDST128_DTPREL_LO12_NC: "not known to binutils 2.40",
}

// TestLinkerOracle compares each byte that ld writes with what the table does.
// In the second layout every field that can has the complement of the first.
func TestLinkerOracle(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"relocs", "relocs_pic", "relocs_near"} {
		run(t, tool("as"), "-o", in(name+".o"), filepath.Join("testdata", name+".s"))
	}
	run(t, tool("as"), "--defsym", "BACK=1", "-o", in("relocs_back.o"), filepath.Join("testdata", "relocs.s"))
	const f = 0xc0000000
	shared := []string{"-shared", "-z", "separate-code"}
	covered := map[elf.R_AARCH64]bool{}
	for _, layout := range []struct {
		name, object string
		args         []string
		symbols      map[string]uint64
		sections     map[string]uint64
	}{
		{
			"static, forward", "relocs", nil,
			map[string]uint64{
				"value_64": 0x5555555555555544, "value_48": 0x555555555544, "value_32": 0x55555544, "value_16": 0x5544,
				"value_s16": 0x5555, "value_s32": 0x55555555, "value_s48": 0x555555555555,
				"value_pc32": f + 0x55555544, "value_pc16": f + 0x5544,
				"value_pc15": f + 0x5554, "value_pc21": f + 0x55554, "value_pc27": f + 0x5555554, "value_page": f + 0x55555544,
				"value_low": 0x12345544, "value_even": 0x12345540,
			},
			map[string]uint64{".fixture": f, ".text": f + 0x5500000, ".got": f + 0x55555550},
		},
		{
			"static, back", "relocs_back", nil,
			map[string]uint64{
				"value_64": 0xaaaaaaaaaaaaaa99, "value_48": 0xaaaaaaaaaa99, "value_32": 0xaaaaaa99, "value_16": 0xaa99,
				"value_s16": 0xffffffffffff5555, "value_s32": 0xffffffff55555555, "value_s48": 0xffff555555555555,
				"value_pc32": f - 0x55555544, "value_pc16": f - 0x5544,
				"value_pc15": f - 0x5554, "value_pc21": f - 0x55554, "value_pc27": f - 0x5555554, "value_page": f - 0x55556000 + 0x99,
				"value_low": 0xfedcba99, "value_even": 0xfedcba90,
			},
			map[string]uint64{".fixture": f, ".got": f - 0x555555b0},
		},
		{"shared, forward", "relocs_pic", shared, nil,
			map[string]uint64{".fixture": f, ".plt": f + 0x5555550, ".got": f + 0x15555550, ".data": f + 0x25555000, ".dynamic": f + 0x1000000}},
		{"shared, back", "relocs_pic", shared, nil,
			map[string]uint64{".fixture": f, ".plt": f - 0x5555550, ".got": f - 0x15555b0, ".data": f - 0x25555000, ".dynamic": f - 0x1000000}},
		{"near, forward", "relocs_near", shared, nil,
			map[string]uint64{".fixture": f, ".plt": f + 0x15550, ".got": f + 0x55550, ".dynamic": f + 0x1000000}},
		{"near, back", "relocs_near", shared, nil,
			map[string]uint64{".fixture": f, ".plt": f - 0x5555550, ".got": f - 0x555b0, ".dynamic": f - 0x1000000}},
	} {
		t.Run(layout.name, func(t *testing.T) {
			out := in(layout.name)
			args := append([]string{"-e", "fixture_start", "--no-warn-rwx-segments", "-o", out, in(layout.object + ".o")}, layout.args...)
			args = append(args, defsyms(layout.symbols)...)
			run(t, tool("ld"), append(args, sectionStarts(layout.sections)...)...)
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
func oracle(t *testing.T, object, linked string, covered map[elf.R_AARCH64]bool) {
	t.Helper()
	obj := openELF(t, object)
	orig := sectionData(t, obj, ".fixture")
	im := openImage(t, linked, len(orig))
	want := bytes.Clone(orig)
	relocs := relocsOf(t, obj, ".fixture")
	operands := func(r reloc) arch.Operands {
		s := im.symbols[r.name]
		o := arch.Operands{
			S: arch.Addr(s.Value), A: r.addend, P: im.base + arch.Addr(r.off), Z: s.Size,
			GOT: arch.Addr(im.symbols["_GLOBAL_OFFSET_TABLE_"].Value),
		}
		if elf.ST_TYPE(s.Info) == elf.STT_TLS {
			o.TP, o.DTP = im.tpOffset(s.Value), int64(s.Value)
		}
		return o
	}
	clues := map[key][]arch.Clue{}
	for _, r := range relocs {
		if c, ok := Arch.Relocs[r.typ].Clue(im.text[r.off:], operands(r)); ok {
			k := key{by: c.By, name: r.name, need: Arch.Relocs[r.typ].Need}
			clues[k] = append(clues[k], c)
		}
	}
	for _, r := range relocs {
		where := fmt.Sprintf("%#x: %s against %s", r.off, relocName(r.typ), r.name)
		howto, ok := Arch.Relocs[r.typ]
		if !ok {
			t.Fatalf("%s: no such row", where)
		}
		o := operands(r)
		if v, ok := arch.Solve(clues[key{by: 'G', name: r.name, need: howto.Need}]); ok {
			o.G = arch.Addr(v)
			checkSlot(t, im, where, howto.Need, o)
		} else if strings.Contains(howto.Expr.Text, "G") {
			t.Errorf("%s: the slot cannot be solved", where)
		}
		if v, ok := arch.Solve(clues[key{by: 'S', name: r.name, need: arch.NeedStub}]); ok && im.symbols[r.name].Section == elf.SHN_UNDEF {
			if !im.in(uint64(v), ".plt") {
				t.Errorf("%s: %#x is not in the PLT", where, v)
			}
			o.S = arch.Addr(v)
		}
		place := want[r.off : r.off+howto.Size]
		for i, m := range howto.Mask() { // stale bits
			place[i] ^= m & byte(0xff>>(i&1))
		}
		if err := howto.Apply(place, o); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		covered[elf.R_AARCH64(r.typ)] = true
		if !bytes.Equal(place, im.text[r.off:][:howto.Size]) {
			t.Errorf("%s: % x, linker: % x", where, place, im.text[r.off:][:howto.Size])
		}
	}
	if !bytes.Equal(want, im.text) {
		t.Errorf("% x, linker: % x", want, im.text)
	}
}

// checkSlot wants that the slot that fields led to is the symbol's: it holds
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
			if got != want {
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

// TestUnlinked holds the rows that have no fixture to those of smaller loads,
// which have: the place counts units of 16 bytes, and the check is the same but
// for the alignment.
func TestUnlinked(t *testing.T) {
	for typ := range unlinked {
		h := Relocs[typ]
		if typ == elf.R_AARCH64_NULL {
			if h.Size != 0 {
				t.Error("R_AARCH64_NULL writes something")
			}
			continue
		}
		small := map[elf.R_AARCH64]elf.R_AARCH64{
			elf.R_AARCH64_TLSLE_LDST128_TPREL_LO12:     rTLSLELdst64TPRelLo12,
			elf.R_AARCH64_TLSLE_LDST128_TPREL_LO12_NC:  rTLSLELdst64TPRelLo12NC,
			elf.R_AARCH64_TLSLD_LDST128_DTPREL_LO12:    rTLSLDLdst64DTPRelLo12,
			elf.R_AARCH64_TLSLD_LDST128_DTPREL_LO12_NC: rTLSLDLdst64DTPRelLo12NC,
		}[typ]
		if h.Need != Relocs[small].Need || h.Check != Relocs[small].Check.Align(16) || h.Expr.Text != Relocs[small].Expr.Text {
			t.Errorf("%s is not like %s", relocName(uint32(typ)), relocName(uint32(small)))
		}
		place := words(0x3dc00155) // ldr q21, [x10]
		if err := Arch.Relocs[uint32(typ)].Apply(place, arch.Operands{TP: 0x50, DTP: 0x50, A: 0x20}); err != nil || wordAt(place, 0) != 0x3dc01d55 {
			t.Errorf("%s: %#x, %v", relocName(uint32(typ)), wordAt(place, 0), err)
		}
	}
}

// TestBitWalk: each bit of X goes to one bit of the place of its own.
func TestBitWalk(t *testing.T) {
	for typ, h := range Relocs {
		if h.Size == 0 {
			continue
		}
		zero := make([]byte, 8)
		h.Field.Put(zero[:h.Size], 0)
		base := placeWord(zero) // movz, of the fields that have a sign
		var all uint64
		for k := range 63 {
			place := make([]byte, 8)
			h.Field.Put(place[:h.Size], 1<<k)
			word := placeWord(place) ^ base
			if bits.OnesCount64(word) > 1 || word&all != 0 {
				t.Errorf("%s: bit %d sets %#x, others %#x", relocName(uint32(typ)), k, word, all)
			}
			all |= word
		}
		place := make([]byte, 8)
		h.Field.Put(place[:h.Size], -1<<63)
		all |= placeWord(place) ^ base
		if mask := placeWord(h.Mask()); all&^mask != 0 || bits.OnesCount64(mask&^all) > fixedBits(typ) {
			t.Errorf("%s: %#x is written, and the mask is %#x", relocName(uint32(typ)), all, mask)
		}
	}
}

// fixedBits are those that a field clears and never sets: the offset of a load
// has 12 bits, of which the lower half of an address leaves the upper ones.
func fixedBits(typ elf.R_AARCH64) int {
	for i, size := range []string{"LDST8_", "LDST16_", "LDST32_", "LD64_GO", "LDST64_", "LD64_LO", "LDST128_"} {
		if strings.Contains(relocName(uint32(typ)), size) {
			return []int{0, 1, 2, 3, 3, 3, 4}[i]
		}
	}
	if typ == rMovwPRelG3 {
		return 1 // the sign goes to the opcode
	}
	return 0
}

func placeWord(place []byte) uint64 {
	var b [8]byte
	copy(b[:], place)
	return binary.LittleEndian.Uint64(b[:])
}

// TestChecks holds the ranges to AAELF64, apart from the table, by the names of
// the types.
func TestChecks(t *testing.T) {
	for typ, h := range Relocs {
		name := strings.TrimPrefix(relocName(uint32(typ)), "R_AARCH64_")
		has := func(parts ...string) bool {
			for _, p := range parts {
				if strings.Contains(name, p) {
					return true
				}
			}
			return false
		}
		want := arch.Unchecked
		switch nc := strings.HasSuffix(name, "_NC") || strings.HasSuffix(name, "_G3"); {
		case h.Size == 0 || h.Size == 8 || has("_PG_HI21_NC"):
		case has("ABS32", "ABS16"):
			want = arch.Either(uint(8 * h.Size))
		case name == "PREL32" || name == "PREL16":
			want = arch.Signed(uint(8 * h.Size))
		case has("UABS_G0", "UABS_G1", "UABS_G2") && !nc:
			want = arch.Unsigned(16 * uint(name[len(name)-1]-'0'+1))
		case has("MOVW", "OFF_G") && !nc:
			want = arch.Signed(16*uint(name[len(name)-1]-'0'+1) + 1)
		case has("MOVW", "OFF_G"):
		case has("PAGE21", "PG_HI21", "GOT_PAGE"):
			want = arch.Signed(33)
		case has("ADR_PREL21", "ADR_PREL_LO21"):
			want = arch.Signed(21)
		case has("PREL19", "PREL_LO19", "CONDBR19"):
			want = arch.Signed(21).Align(4)
		case has("TSTBR14"):
			want = arch.Signed(16).Align(4)
		case has("CALL26", "JUMP26"):
			want = arch.Signed(28).Align(4)
		case has("HI12"):
			want = arch.Unsigned(24)
		case has("LO15"):
			want = arch.Unsigned(15).Align(8)
		case has("LO12") && !nc && has("TPREL_LO12", "DTPREL_LO12"):
			want = arch.Unsigned(12)
		}
		for size, n := range map[string]int64{"LDST16_": 2, "LDST32_": 4, "LDST64_": 8, "LD64_GOTTPREL_LO12": 8, "LD64_GOT_LO12": 8, "DESC_LD64_LO12": 8, "LDST128_": 16} {
			if has(size) {
				want = want.Align(n)
			}
		}
		if h.Check != want {
			t.Errorf("%s: %+v, want %+v", name, h.Check, want)
		}
	}
}

// operandsFor are operands that give X.
func operandsFor(h arch.Howto, x int64) arch.Operands {
	o := arch.Operands{S: arch.Addr(x), G: arch.Addr(x), TP: x, DTP: x}
	if strings.HasPrefix(h.Expr.Text, "Page") {
		o.S, o.G = arch.Addr(x+0xabc), arch.Addr(x+0xabc)
	}
	return o
}

// TestEdges tries each checked row at its limits, in a place with stale bits.
func TestEdges(t *testing.T) {
	for typ, h := range Arch.Relocs {
		lo, hi, ok := h.Check.Limits()
		if !ok {
			continue
		}
		step := int64(1)
		for h.Check.Verify(step) != nil {
			step *= 2
		}
		if strings.HasPrefix(h.Expr.Text, "Page") {
			step = 0x1000
		}
		hi = hi &^ (step - 1)
		for _, c := range []struct {
			x    int64
			want error
		}{
			{lo, nil}, {lo + step, nil}, {0, nil}, {hi - step, nil}, {hi, nil}, {lo - step, arch.ErrRange}, {hi + step, arch.ErrRange},
			{-1 << 62, arch.ErrRange}, {1 << 62, arch.ErrRange}, {step / 2, arch.ErrAlign}, {hi - step/2, arch.ErrAlign},
		} {
			if c.want == arch.ErrAlign && (step == 1 || step == 0x1000) {
				continue
			}
			for _, stale := range []byte{0x00, 0xff, 0x5a} {
				place := bytes.Repeat([]byte{stale}, 10)
				before := bytes.Clone(place)
				err := h.Apply(place[1:], operandsFor(h, c.x))
				switch {
				case !errors.Is(err, c.want):
					t.Errorf("%s: X = %#x: %v, want %v", h.Name, c.x, err, c.want)
				case c.want != nil && !bytes.Equal(place, before):
					t.Errorf("%s: X = %#x: refused and written", h.Name, c.x)
				case c.want == nil && (place[0] != stale || !bytes.Equal(place[1+h.Size:], before[1+h.Size:])):
					t.Errorf("%s: X = %#x: written outside the place", h.Name, c.x)
				}
				if c.want != nil {
					continue
				}
				for i, m := range h.Mask() {
					if (place[1+i]^stale)&^m != 0 {
						t.Errorf("%s: X = %#x: written outside the field", h.Name, c.x)
					}
				}
				if clue, ok := h.Clue(place[1:], arch.Operands{}); ok {
					bits := uint64(1)<<clue.Hi - 1<<clue.Lo
					if h.Size < 8 && h.Check == arch.Either(uint(8*h.Size)) {
						bits = 1<<(8*h.Size) - 1
					}
					if (clue.Sum^uint64(c.x))&bits != 0 {
						t.Errorf("%s: X = %#x: %#x read back", h.Name, c.x, clue.Sum)
					}
				}
			}
		}
		if err := h.Apply(make([]byte, h.Size-1), arch.Operands{}); !errors.Is(err, arch.ErrPlace) {
			t.Errorf("%s: a short place: %v", relocName(typ), err)
		}
	}
}

// TestNoAddend: a slot is not for its symbol and an addend.
func TestNoAddend(t *testing.T) {
	for _, h := range Arch.Relocs {
		slot := strings.Contains(h.Expr.Text, "G")
		if h.NoAddend != slot {
			t.Errorf("%s: %s, no addend %v", h.Name, h.Expr.Text, h.NoAddend)
		}
		if !slot {
			continue
		}
		place := []byte{1, 2, 3, 4}
		if err := h.Apply(place, arch.Operands{G: 0x1000, GOT: 0x1000, P: 0x1000, A: 8}); !errors.Is(err, arch.ErrAddend) || !bytes.Equal(place, []byte{1, 2, 3, 4}) {
			t.Errorf("%s: % x, %v", h.Name, place, err)
		}
		if c, ok := h.Clue(place, arch.Operands{A: 8}); ok {
			t.Errorf("%s: %+v", h.Name, c)
		}
	}
}

func TestNames(t *testing.T) {
	for typ := range Relocs {
		if name := relocName(uint32(typ)); !strings.HasPrefix(name, "R_AARCH64_") || strings.ContainsAny(name, "+ ") {
			t.Errorf("%d is called %q", typ, name)
		}
	}
	for typ := range names {
		if known := typ.String(); strings.HasPrefix(known, "R_AARCH64_") && !strings.Contains(known, "+") {
			t.Errorf("debug/elf calls %d %s", typ, known)
		}
	}
}

// FuzzApplyReloc: nothing is written on an error, nothing outside the place, and
// what was written tells of what it was made of.
func FuzzApplyReloc(f *testing.F) {
	f.Add(uint32(elf.R_AARCH64_ADR_PREL_PG_HI21), uint64(0x401000), int64(-4), uint64(0x400000), []byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add(uint32(elf.R_AARCH64_ABS64), uint64(1)<<63, int64(8), uint64(0), []byte{0xff})
	f.Add(uint32(elf.R_AARCH64_MOVW_SABS_G2), ^uint64(0xff), int64(1), uint64(0), []byte{0, 1, 2, 3})
	f.Fuzz(func(t *testing.T, typ uint32, v uint64, a int64, p uint64, place []byte) {
		h, ok := Arch.Relocs[typ%600]
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
		c, ok := h.Clue(place, o)
		if !ok || h.Check == arch.Either(uint(8*h.Size)) {
			return
		}
		if want := v + uint64(c.Addend); (c.Sum^want)&(uint64(1)<<c.Hi-1)>>c.Lo != 0 {
			t.Fatalf("%s: %+v, want %#x", h.Name, c, want)
		}
	})
}
