// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"bytes"
	"debug/elf"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

// rewritten is one of each rewrite; the relocation is at word at.
var rewritten = []struct {
	typ          elf.R_AARCH64
	at           int
	orig, linked []uint32
}{
	{elf.R_AARCH64_CALL26, 0, []uint32{blInsn}, []uint32{nop}},
	{elf.R_AARCH64_JUMP26, 0, []uint32{b}, []uint32{nop}},
	{elf.R_AARCH64_ADR_PREL_PG_HI21, 0, []uint32{adrpInsn | 7, addInsn | 7<<5 | 7}, []uint32{nop, adrInsn | 7}},
	{elf.R_AARCH64_ADD_ABS_LO12_NC, 1, []uint32{adrpInsn | 7, addInsn | 7<<5 | 7}, []uint32{nop, adrInsn | 7}},
	{elf.R_AARCH64_ADR_GOT_PAGE, 0, []uint32{adrpInsn | 7, ldrInsn | 7<<5 | 7}, []uint32{adrpInsn | 7, addInsn | 7<<5 | 7}},
	{elf.R_AARCH64_LD64_GOT_LO12_NC, 1, []uint32{adrpInsn | 7, ldrInsn | 7<<5 | 7}, []uint32{adrpInsn | 7, addInsn | 7<<5 | 7}},
	{elf.R_AARCH64_ADR_GOT_PAGE, 0, []uint32{adrpInsn | 7, ldrInsn | 7<<5 | 7}, []uint32{nop, adrInsn | 7}},
	{elf.R_AARCH64_LD64_GOT_LO12_NC, 1, []uint32{adrpInsn | 7, ldrInsn | 7<<5 | 7}, []uint32{nop, adrInsn | 7}},
	{elf.R_AARCH64_ADR_PREL_PG_HI21, 0, []uint32{adrpInsn | 7}, []uint32{adrInsn | 7}},
	{elf.R_AARCH64_ADR_GOT_PAGE, 0, []uint32{adrpInsn | 7}, []uint32{adrInsn | 7}},
	{elf.R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21, 0, []uint32{adrpInsn | 7}, []uint32{adrInsn | 7}},
	{elf.R_AARCH64_TLSDESC_ADR_PAGE21, 0, []uint32{adrpInsn}, []uint32{adrInsn}},
	{elf.R_AARCH64_LDST8_ABS_LO12_NC, 0, []uint32{0x39400020}, []uint32{b}},
	{elf.R_AARCH64_LDST128_ABS_LO12_NC, 0, []uint32{0x3d800020}, []uint32{b}},
	{elf.R_AARCH64_LD64_GOT_LO12_NC, 0, []uint32{ldrInsn | 7<<5 | 8}, []uint32{b}},
	{elf.R_AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC, 0, []uint32{ldrInsn | 7<<5 | 7}, []uint32{b}},
	{elf.R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21, 0, []uint32{adrpInsn | 7}, []uint32{movzHigh | 7}},
	{elf.R_AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC, 0, []uint32{ldrInsn | 7<<5 | 7}, []uint32{movkInsn | 7}},
	{elf.R_AARCH64_TLSDESC_ADR_PAGE21, 0, []uint32{adrpInsn}, []uint32{movzHigh}},
	{elf.R_AARCH64_TLSDESC_ADR_PAGE21, 0, []uint32{adrpInsn, ldrInsn | 3}, []uint32{adrpInsn, ldrInsn}},
	{elf.R_AARCH64_TLSDESC_LD64_LO12_NC, 0, []uint32{ldrInsn | 3}, []uint32{movkInsn}},
	{elf.R_AARCH64_TLSDESC_LD64_LO12_NC, 0, []uint32{ldrInsn | 3}, []uint32{ldrInsn}},
	{elf.R_AARCH64_TLSDESC_ADD_LO12_NC, 0, []uint32{addInsn}, []uint32{nop}},
	{elf.R_AARCH64_TLSDESC_CALL, 0, []uint32{blrInsn | 3<<5}, []uint32{nop}},
	{elf.R_AARCH64_TLSDESC_LD_PREL19, 0, []uint32{ldrLit | 1}, []uint32{movzHigh}},
	{elf.R_AARCH64_TLSDESC_LD_PREL19, 0, []uint32{ldrLit | 1}, []uint32{ldrLit}},
	{elf.R_AARCH64_TLSDESC_ADR_PREL21, 0, []uint32{adrInsn}, []uint32{movkInsn}},
	{elf.R_AARCH64_TLSDESC_ADR_PREL21, 0, []uint32{adrInsn}, []uint32{nop}},
	{elf.R_AARCH64_TLSGD_ADR_PAGE21, 0, []uint32{adrpInsn}, []uint32{movzHigh}},
	{elf.R_AARCH64_TLSGD_ADR_PAGE21, 0, []uint32{adrpInsn, addInsn}, []uint32{adrpInsn, ldrInsn}},
	{elf.R_AARCH64_TLSGD_ADD_LO12_NC, 0, []uint32{addInsn, blInsn, nop}, []uint32{movkInsn, mrsX1TP, addX0X1}},
	{elf.R_AARCH64_TLSGD_ADD_LO12_NC, 0, []uint32{addInsn, blInsn, nop}, []uint32{ldrInsn, mrsX1TP, addX0X1}},
	{elf.R_AARCH64_TLSLD_ADR_PAGE21, 0, []uint32{adrpInsn, addInsn, blInsn}, []uint32{mrsX0TP, addTCB, nop}},
}

// TestRelaxRefuses: no other bytes pass for what a linker wrote. Each bit that is
// flipped makes it something else, unless it is a bit of a field.
func TestRelaxRefuses(t *testing.T) {
	for _, c := range rewritten {
		orig, linked, off := words(c.orig...), words(c.linked...), c.at*wordSize
		name := relocName(uint32(c.typ))
		if r, ok := relax(uint32(c.typ), orig, orig, off); ok {
			t.Errorf("%s: % x: unchanged, and taken for %s", name, orig, r.Name)
		}
		whole, ok := relax(uint32(c.typ), orig, linked, off)
		if !ok {
			t.Fatalf("%s: % x -> % x: not recognised", name, orig, linked)
		}
		fields := make([]uint32, len(c.linked)) // of this relocation and of its partner
		for i := range fields {
			switch w := c.linked[i]; {
			case i == c.at:
				fields[i] = mask(whole.Howto)
			case w&0x9f000000 == adrpInsn || w&0x9f000000 == adrInsn:
				fields[i] = mask(toPage)
			case (w&^0x3ff == addInsn || w&^0x3ff == ldrInsn) && whole.End == wordSize:
				fields[i] = mask(toLow)
			}
		}
		for bit := range 8 * len(linked) {
			other := bytes.Clone(linked)
			other[bit/8] ^= 1 << (bit % 8)
			field := fields[bit/32]>>(bit%32)&1 != 0
			r, ok := relax(uint32(c.typ), orig, other, off)
			if ok != field && (!ok || bytes.Equal(r.Bytes, whole.Bytes)) {
				t.Errorf("%s: %s: % x -> % x: recognised %v as %s", name, whole.Name, orig, other, ok, r.Name)
			}
		}
		for bit := range 8 * len(orig) { // another instruction in the object
			other := bytes.Clone(orig)
			other[bit/8] ^= 1 << (bit % 8)
			if r, ok := relax(uint32(c.typ), other, linked, off); ok && r.Name == whole.Name && (bit/32 != c.at || !othersToo(c.typ, wordAt(other, off))) && !otherRegister(c.typ, bit) {
				t.Errorf("%s: %s: % x -> % x: recognised", name, whole.Name, other, linked)
			}
		}
		for n := range linked { // cut short, at either end
			if r, ok := relax(uint32(c.typ), orig[:n], linked, off); ok && n < whole.End+off {
				t.Errorf("%s: %s: recognised in %d bytes of the object", name, r.Name, n)
			}
			if r, ok := relax(uint32(c.typ), orig, linked[:n], off); ok && n < whole.End+off {
				t.Errorf("%s: %s: recognised in %d bytes of the image", name, r.Name, n)
			}
			if r, ok := relax(uint32(c.typ), orig, linked, off-n-1); ok && off-n-1 < 0 {
				t.Errorf("%s: %s: recognised %d bytes earlier", name, r.Name, n+1)
			}
		}
		if whole.Veneer != (whole.Howto.Expr.Text == "S - P") {
			t.Errorf("%s: %s: a veneer: %v", name, whole.Name, whole.Veneer)
		}
	}
}

// othersToo says that an instruction of the object may be that one, too: any
// load or store may be moved, of any register; bl and b to nowhere vanish.
func othersToo(typ elf.R_AARCH64, word uint32) bool {
	switch typ {
	case elf.R_AARCH64_CALL26, elf.R_AARCH64_JUMP26:
		return word == b || word == blInsn
	case elf.R_AARCH64_TLSDESC_CALL:
		return word&^(31<<5) == blrInsn
	case elf.R_AARCH64_TLSDESC_LD64_LO12_NC, elf.R_AARCH64_TLSDESC_LD_PREL19:
		return word&31 != 0 && (word&^31 == ldrInsn || word&^31 == ldrLit)
	}
	return word&0x3b000000 == 0x39000000 || word&^31 == adrpInsn
}

// otherRegister says that the bit is one of the register that holds a resolver's
// address, in the word behind the relocation's.
func otherRegister(typ elf.R_AARCH64, bit int) bool {
	return typ == elf.R_AARCH64_TLSDESC_ADR_PAGE21 && bit >= 32 && bit < 37
}

// TestRelaxUnchanged: what looks like the outcome and was so before is none.
func TestRelaxUnchanged(t *testing.T) {
	for _, c := range []struct {
		typ  elf.R_AARCH64
		code []uint32
	}{
		{elf.R_AARCH64_TLSDESC_ADR_PAGE21, []uint32{adrpInsn, ldrInsn}},
		{elf.R_AARCH64_TLSDESC_LD64_LO12_NC, []uint32{ldrInsn}},
		{elf.R_AARCH64_TLSGD_ADR_PAGE21, []uint32{adrpInsn, ldrInsn}},
		{elf.R_AARCH64_ADR_GOT_PAGE, []uint32{adrpInsn | 7, addInsn | 7<<5 | 7}},
		{elf.R_AARCH64_CALL26, []uint32{nop}},
	} {
		if r, ok := relax(uint32(c.typ), words(c.code...), words(c.code...), 0); ok {
			t.Errorf("%s: %s", relocName(uint32(c.typ)), r.Name)
		}
	}
}

// TestRelaxAbsent: a branch became a nop for a symbol at 0 and no other.
func TestRelaxAbsent(t *testing.T) {
	r, ok := relax(uint32(elf.R_AARCH64_CALL26), words(blInsn), words(nop), 0)
	if !ok {
		t.Fatal("not recognised")
	}
	by, v, ok := r.Solve(words(nop), arch.Operands{P: 0x401000})
	if by != 'S' || v != 0 || !ok {
		t.Errorf("%c = %#x, %v", by, v, ok)
	}
	if code, err := r.Expect(arch.Operands{P: 0x401000}); err != nil || wordAt(code, 0) != nop {
		t.Errorf("% x, %v", code, err)
	}
	for _, s := range []arch.Addr{1, 2, 0x400000, 1 << 63} {
		if code, err := r.Expect(arch.Operands{S: s, P: 0x401000}); err == nil {
			t.Errorf("S = %#x: % x", uint64(s), code)
		}
	}
}

func FuzzRelax(f *testing.F) {
	for _, c := range rewritten {
		f.Add(uint32(c.typ), words(c.orig...), words(c.linked...), c.at*wordSize)
	}
	f.Add(uint32(elf.R_AARCH64_TLSDESC_LD64_LO12_NC), words(ldrInsn|3), words(ldrInsn|0x600<<10), 0)
	f.Fuzz(func(t *testing.T, typ uint32, orig, linked []byte, off int) {
		r, ok := relax(typ%600, orig, linked, off)
		if !ok {
			return
		}
		if off+r.Start < 0 || off+r.End > len(linked) || off+r.End > len(orig) || len(r.Bytes) != r.End-r.Start {
			t.Fatalf("%+v at %d of %d bytes", r, off, len(linked))
		}
		if r.Howto.Size == 0 {
			return
		}
		got := linked[off+r.Start : off+r.End]
		o := arch.Operands{P: 0x401000}
		// The field may hold what no linker writes, such as an offset of 32 KiB: then
		// it is disproved, for what belongs there comes out instead.
		once := recompute(t, r, got, o)
		if (wordAt(once, 0)^wordAt(got, 0))&^mask(r.Howto) != 0 || !bytes.Equal(once[wordSize:], got[wordSize:]) {
			t.Fatalf("%s: % x gives % x, outside of the field", r.Name, got, once)
		}
		if twice := recompute(t, r, once, o); !bytes.Equal(once, twice) {
			t.Fatalf("%s: % x gives % x, and that % x", r.Name, got, once, twice)
		}
	})
}

// recompute solves the field of a rewrite and fills it in again.
func recompute(t *testing.T, r arch.Rewrite, linked []byte, o arch.Operands) []byte {
	t.Helper()
	c, ok := r.Clue(linked, o)
	if !ok {
		t.Fatalf("%s: no clue", r.Name)
	}
	c.Lo, c.Hi = 0, 64 // what it leaves open does not matter here
	v, ok := arch.Solve([]arch.Clue{c})
	if !ok {
		t.Fatalf("%s: not solved", r.Name)
	}
	set(&o, c.By, v)
	out, err := r.Expect(o)
	if err != nil {
		t.Fatalf("%s: % x: %v", r.Name, linked, err)
	}
	return out
}
