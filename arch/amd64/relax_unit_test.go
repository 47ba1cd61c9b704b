// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"bytes"
	"debug/elf"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

// TestRelaxSign: a 64-bit register takes an address with its sign extended, a
// 32-bit one with zeros.
func TestRelaxSign(t *testing.T) {
	for _, c := range []struct {
		name         string
		typ          elf.R_X86_64
		orig, linked []byte
		off          int
		want         int64
	}{
		{"mov to %rax", elf.R_X86_64_REX_GOTPCRELX, []byte{0x48, 0x8b, 0x05, 0, 0, 0, 0}, []byte{0x48, 0xc7, 0xc0, 0x10, 0, 0, 0x80}, 3, -0x7ffffff0},
		{"mov to %eax", elf.R_X86_64_GOTPCRELX, []byte{0x8b, 0x05, 0, 0, 0, 0}, []byte{0xc7, 0xc0, 0x10, 0, 0, 0x80}, 2, 0x80000010},
		{"cmp with %r9", elf.R_X86_64_REX_GOTPCRELX, []byte{0x4c, 0x3b, 0x0d, 0, 0, 0, 0}, []byte{0x49, 0x81, 0xf9, 0x10, 0, 0, 0x80}, 3, -0x7ffffff0},
	} {
		r, ok := Arch.Relax(uint32(c.typ), c.orig, c.linked, c.off)
		if !ok {
			t.Fatalf("%s: not recognised", c.name)
		}
		by, v, ok := r.Solve(c.linked[c.off+r.Start:c.off+r.End], arch.Operands{A: -4, P: 0x1000})
		if by != 'S' || v != c.want || !ok {
			t.Errorf("%s: %c = %#x, %v; want %#x", c.name, by, v, ok, c.want)
		}
	}
}

// TestRelaxRefuses: no other bytes pass for what a linker wrote. Each bit that is
// flipped makes it something else, unless it is a bit of the field.
func TestRelaxRefuses(t *testing.T) {
	pad := func(p []int) []byte {
		var b []byte
		for _, v := range p {
			b = append(b, byte(max(v, 0)))
		}
		return b
	}
	type pair struct {
		typ          elf.R_X86_64
		orig, linked []byte
		off          int
	}
	pairs := []pair{
		{elf.R_X86_64_GOTPCRELX, []byte{0xff, 0x15, 0, 0, 0, 0}, []byte{0x67, 0xe8, 0, 0, 0, 0}, 2},
		{elf.R_X86_64_GOTPCRELX, []byte{0xff, 0x25, 0, 0, 0, 0}, []byte{0xe9, 0, 0, 0, 0, 0x90}, 2},
		{elf.R_X86_64_REX_GOTPCRELX, []byte{0x4c, 0x8b, 0x15, 0, 0, 0, 0}, []byte{0x4c, 0x8d, 0x15, 0, 0, 0, 0}, 3},
		{elf.R_X86_64_REX_GOTPCRELX, []byte{0x4c, 0x85, 0x15, 0, 0, 0, 0}, []byte{0x49, 0xf7, 0xc2, 0, 0, 0, 0}, 3},
		{elf.R_X86_64_GOTTPOFF, []byte{0x4c, 0x03, 0x15, 0, 0, 0, 0}, []byte{0x4d, 0x8d, 0x92, 0, 0, 0, 0}, 3},
		{elf.R_X86_64_GOTPC32_TLSDESC, []byte{0x48, 0x8d, 0x05, 0, 0, 0, 0}, []byte{0x48, 0xc7, 0xc0, 0, 0, 0, 0}, 3},
	}
	for _, s := range sequences {
		pairs = append(pairs, pair{s.typ, pad(s.from), pad(s.to), s.at})
	}
	for _, p := range pairs {
		if _, ok := relax(uint32(p.typ), p.orig, p.orig, p.off); ok {
			t.Errorf("% x: unchanged, and taken for a rewrite", p.orig)
		}
		whole, ok := relax(uint32(p.typ), p.orig, p.linked, p.off)
		if !ok {
			t.Fatalf("% x -> % x: not recognised", p.orig, p.linked)
		}
		for bit := range 8 * len(p.linked) {
			linked := bytes.Clone(p.linked)
			linked[bit/8] ^= 1 << (bit % 8)
			at := bit/8 - p.off
			field := at >= whole.Off && at < whole.Off+whole.Howto.Size
			r, ok := relax(uint32(p.typ), p.orig, linked, p.off)
			if ok != field && (!ok || bytes.Equal(r.Bytes, whole.Bytes)) {
				t.Errorf("%s: % x -> % x: recognised %v as %s", whole.Name, p.orig, linked, ok, r.Name)
			}
		}
		for n := range p.linked { // cut short, at either end
			if _, ok := relax(uint32(p.typ), p.orig[:n], p.linked, p.off); ok && n < whole.End+p.off {
				t.Errorf("%s: recognised in %d bytes of the object", whole.Name, n)
			}
			if _, ok := relax(uint32(p.typ), p.orig, p.linked[:n], p.off); ok {
				t.Errorf("%s: recognised in %d bytes of the image", whole.Name, n)
			}
			if _, ok := relax(uint32(p.typ), p.orig, p.linked, p.off-n-1); ok {
				t.Errorf("%s: recognised %d bytes earlier", whole.Name, n+1)
			}
		}
	}
	// %rsp and %r12 take no lea: its ModRM byte would announce a SIB byte.
	if r, ok := relax(uint32(elf.R_X86_64_GOTTPOFF), []byte{0x48, 0x03, 0x25, 0, 0, 0, 0}, []byte{0x48, 0x8d, 0xa4, 0, 0, 0, 0}, 3); ok {
		t.Errorf("lea with %%rsp: %s", r.Name)
	}
	// Plain GOTPCREL is rewritten for mov alone.
	if r, ok := relax(uint32(elf.R_X86_64_GOTPCREL), []byte{0xff, 0x15, 0, 0, 0, 0}, []byte{0x67, 0xe8, 0, 0, 0, 0}, 2); ok {
		t.Errorf("GOTPCREL: %s", r.Name)
	}
}

// TestRelaxModuleBase: the thread pointer itself in place of a descriptor makes
// the offsets that are added to it TP-relative.
func TestRelaxModuleBase(t *testing.T) {
	for field, want := range map[byte]bool{0: true, 0xf8: false} {
		r, ok := relax(uint32(elf.R_X86_64_GOTPC32_TLSDESC), []byte{0x48, 0x8d, 0x05, 0, 0, 0, 0}, []byte{0x48, 0xc7, 0xc0, field, field, field, field}, 3)
		if !ok || r.LocalExec != want {
			t.Errorf("%#x: %v, local-exec %v", field, ok, r.LocalExec)
		}
	}
}

func FuzzRelax(f *testing.F) {
	f.Add(uint32(elf.R_X86_64_GOTPCRELX), []byte{0xff, 0x15, 0, 0, 0, 0}, []byte{0x67, 0xe8, 1, 2, 3, 4}, 2)
	f.Add(uint32(elf.R_X86_64_GOTTPOFF), []byte{0x4c, 0x03, 0x15, 0, 0, 0, 0}, []byte{0x4d, 0x8d, 0x92, 1, 2, 3, 0xff}, 3)
	f.Add(uint32(elf.R_X86_64_TLSDESC_CALL), []byte{0xff, 0x10}, []byte{0x66, 0x90}, 0)
	f.Fuzz(func(t *testing.T, typ uint32, orig, linked []byte, off int) {
		r, ok := relax(typ%64, orig, linked, off)
		if !ok {
			return
		}
		if off+r.Start < 0 || off+r.End > len(linked) || off+r.End > len(orig) || len(r.Bytes) != r.End-r.Start {
			t.Fatalf("%+v at %d of %d bytes", r, off, len(linked))
		}
		got := linked[off+r.Start : off+r.End]
		o := arch.Operands{A: -4, P: 0x401000}
		by, v, ok := r.Solve(got, o)
		switch {
		case r.Howto.Size == 0:
		case !ok:
			t.Fatalf("%s: not solved", r.Name)
		case by == 'S':
			o.S = arch.Addr(v)
		case by == 'G':
			o.G = arch.Addr(v)
		case by == 'T':
			o.TP = v
		}
		if want, err := r.Expect(o); err != nil || !bytes.Equal(want, got) {
			t.Fatalf("%s: % x, %v; want % x", r.Name, want, err, got)
		}
	})
}
