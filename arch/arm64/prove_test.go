// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

// reloc is a RELA entry with its symbol resolved.
type reloc struct {
	off    int
	typ    uint32
	addend int64
	sym    elf.Symbol // the null symbol where there is none
	name   string     // of the symbol; a section symbol has its section's index
}

func openELF(t testing.TB, file string) *elf.File {
	t.Helper()
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func sectionData(t testing.TB, f *elf.File, name string) []byte {
	t.Helper()
	s := f.Section(name)
	if s == nil {
		t.Fatalf("no section %s", name)
	}
	data, err := s.Data()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// relocsOf reads the relocations of a section, by offset.
func relocsOf(t testing.TB, f *elf.File, section string) []reloc {
	t.Helper()
	data := sectionData(t, f, ".rela"+section)
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	var out []reloc
	for ; len(data) >= 24; data = data[24:] {
		info := binary.LittleEndian.Uint64(data[8:])
		r := reloc{
			off:    int(binary.LittleEndian.Uint64(data)),
			typ:    uint32(info),
			addend: int64(binary.LittleEndian.Uint64(data[16:])),
		}
		if n := info >> 32; n > 0 {
			r.sym = symbols[n-1]
			r.name = cmp.Or(r.sym.Name, fmt.Sprintf("section %d", r.sym.Section))
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b reloc) int { return a.off - b.off })
	return out
}

// image is a linked file whose first input was the object.
type image struct {
	file    *elf.File
	text    []byte
	base    arch.Addr // where the object's text went
	symbols map[string]elf.Symbol
	tls     elf.ProgHeader
}

func openImage(t testing.TB, file string, size int) image {
	t.Helper()
	im := image{file: openELF(t, file), symbols: map[string]elf.Symbol{}}
	symbols, err := im.file.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		im.symbols[s.Name] = s
	}
	start := im.symbols["fixture_start"]
	im.base = arch.Addr(start.Value)
	section := im.file.Sections[start.Section]
	data, err := section.Data()
	if err != nil {
		t.Fatal(err)
	}
	im.text = data[start.Value-section.Addr:][:size]
	for _, p := range im.file.Progs {
		if p.Type == elf.PT_TLS {
			im.tls = p.ProgHeader
		}
	}
	return im
}

func (im image) tpOffset(off uint64) int64 {
	return tpOffset(off, im.tls.Memsz, im.tls.Align, im.tls.Vaddr)
}

// in says that an address lies in one of the sections whose name begins so.
func (im image) in(addr uint64, prefixes ...string) bool {
	for _, s := range im.file.Sections {
		for _, p := range prefixes {
			if strings.HasPrefix(s.Name, p) && addr >= s.Addr && addr < s.Addr+s.Size {
				return true
			}
		}
	}
	return false
}

// key is what clues are about. With a section's symbol each addend is another
// thing: strings are merged.
type key struct {
	by     byte
	name   string
	addend int64
	need   arch.Need
	branch bool
}

func keyOf(r reloc, c arch.Clue, need arch.Need) key {
	k := key{by: c.By, name: r.name, need: need, branch: branchReloc(r.typ, nil, 0)}
	if elf.ST_TYPE(r.sym.Info) == elf.STT_SECTION {
		k.addend = c.Addend
	}
	if k.branch && r.sym.Section == elf.SHN_UNDEF && elf.ST_BIND(r.sym.Info) == elf.STB_WEAK {
		k.addend = int64(r.off) // lld lets each branch go to the next instruction
	}
	return k
}

// use is one relocation as the linker left it, or the rewrite that it became.
type use struct {
	reloc
	where   string
	rewrite arch.Rewrite
	linked  []byte // what the image has there
	o       arch.Operands
	key     key
}

// prove recomputes every byte of the object's text as linked, from nothing but
// the object and what the image's fields solve to; every solution has to be what
// the image's symbol table says. It counts the rewrites.
func prove(t *testing.T, object, linked string, seen map[string]int) {
	t.Helper()
	obj := openELF(t, object)
	orig := sectionData(t, obj, ".text")
	im := openImage(t, linked, len(orig))

	var uses []use
	clues := map[key][]arch.Clue{}
	want := append([]byte(nil), orig...)
	done := 0 // the end of the last rewrite
	for _, r := range relocsOf(t, obj, ".text") {
		if r.off < done {
			continue
		}
		u := use{reloc: r, where: fmt.Sprintf("%#x: %s against %s", r.off, relocName(r.typ), r.name)}
		u.o = arch.Operands{A: r.addend, P: im.base + arch.Addr(r.off), GOT: arch.Addr(im.symbols["_GLOBAL_OFFSET_TABLE_"].Value)}
		howto, ok := Arch.Relocs[r.typ]
		if !ok {
			t.Fatalf("%s: no such row", u.where)
		}
		plain := arch.Rewrite{End: howto.Size, Bytes: orig[r.off : r.off+howto.Size], Howto: howto}
		if u.rewrite, ok = relax(r.typ, orig, im.text, r.off); ok {
			seen[u.rewrite.Name]++
		} else {
			u.rewrite = plain
		}
		done = r.off + u.rewrite.End
		u.linked = im.text[r.off+u.rewrite.Start : r.off+u.rewrite.End]
		if u.rewrite.Veneer {
			copy(want[r.off:], u.linked)
			u.linked = u.veneer(t, im)
			u.rewrite = plain
		} else {
			copy(want[r.off+u.rewrite.Start:], u.linked) // compared below
		}
		if c, ok := u.rewrite.Clue(u.linked, u.o); ok {
			u.key = keyOf(r, c, u.rewrite.Howto.Need)
			clues[u.key] = append(clues[u.key], c)
		} else if u.rewrite.Howto.Size > 0 {
			t.Fatalf("%s: no clue", u.where)
		}
		uses = append(uses, u)
	}
	for i := range want {
		if want[i] != im.text[i] {
			t.Fatalf("byte %#x: % x, want % x (object: % x)", i,
				im.text[max(i-8, 0):min(i+24, len(want))], want[max(i-8, 0):min(i+24, len(want))], orig[max(i-8, 0):min(i+24, len(want))])
		}
	}
	for _, u := range uses {
		if u.rewrite.Howto.Size > 0 {
			v, ok := arch.Solve(clues[u.key])
			if u.name == "_GLOBAL_OFFSET_TABLE_" { // of which code needs the page alone
				v, ok = int64(u.o.GOT), true
			}
			if !ok {
				t.Fatalf("%s: %+v cannot be solved from %+v", u.where, u.key, clues[u.key])
			}
			checkSolution(t, im, u, v)
			set(&u.o, u.key.by, v)
		}
		code, err := u.rewrite.Expect(u.o)
		if err != nil || !bytes.Equal(code, u.linked) {
			t.Fatalf("%s: % x, want % x, %v", u.where, u.linked, code, err)
		}
	}
}

// veneer is the instruction that was moved; behind it stands the jump back.
func (u use) veneer(t *testing.T, im image) []byte {
	t.Helper()
	_, v, ok := u.rewrite.Solve(u.linked, u.o)
	if !ok {
		t.Fatalf("%s: the veneer cannot be solved", u.where)
	}
	code := im.read(t, uint64(v), 2*wordSize)
	back, err := jump(arch.Addr(v)+wordSize, u.o.P+wordSize)
	if err != nil || !bytes.Equal(code[wordSize:], back) {
		t.Errorf("%s: the veneer ends in % x, want % x, %v", u.where, code[wordSize:], back, err)
	}
	return code[:wordSize]
}

func set(o *arch.Operands, by byte, v int64) {
	switch by {
	case 'S':
		o.S = arch.Addr(v)
	case 'G':
		o.G = arch.Addr(v)
	case 'T':
		o.TP = v
	case 'D':
		o.DTP = v
	}
}

// read returns n bytes at an address of the image, or what its section has.
func (im image) read(t *testing.T, addr uint64, n int) []byte {
	t.Helper()
	for _, s := range im.file.Sections {
		if addr >= s.Addr && addr < s.Addr+s.Size && s.Flags&elf.SHF_ALLOC != 0 {
			out := make([]byte, min(uint64(n), s.Addr+s.Size-addr))
			if _, err := s.ReadAt(out, int64(addr-s.Addr)); err != nil {
				t.Fatal(err)
			}
			return out
		}
	}
	t.Fatalf("%#x is not in the image", addr)
	return nil
}

func checkSolution(t *testing.T, im image, u use, v int64) {
	t.Helper()
	s, ok := im.symbols[u.name]
	defined := ok && s.Section != elf.SHN_UNDEF
	var want int64
	switch by := u.key.by; {
	case by == 'G':
		if !im.in(uint64(v), ".got") {
			t.Errorf("%s: slot %#x is not in the GOT", u.where, v)
		}
		return
	case elf.ST_TYPE(u.sym.Info) == elf.STT_SECTION:
		return // one solution for all its uses
	case !ok && u.sym.Section != elf.SHN_UNDEF: // local, stripped by the linker
		return
	case by == 'S' && (u.key.branch || !defined) && im.in(uint64(v), ".plt"):
		if tramp, ok := trampoline(im.read(t, uint64(v), 32), arch.Addr(v)); !ok || !tramp.Slot || !im.in(uint64(tramp.To), ".got") {
			t.Errorf("%s: %#x of the PLT goes to %+v, %v", u.where, v, tramp, ok)
		}
		return
	case by == 'S' && !defined && u.key.addend == int64(u.off) && arch.Addr(v) == u.o.P+wordSize:
		return
	case by == 'T':
		want = im.tpOffset(s.Value)
	case defined:
		want = int64(s.Value)
	}
	if v != want {
		t.Errorf("%s: %c is %#x, want %#x", u.where, u.key.by, v, want)
	}
}
