// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

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

// prove recomputes every byte of the object's text as linked, from nothing but
// the object and what the image's fields solve to; every solution has to be what
// the image's symbol table says. It counts the rewrites.
func prove(t *testing.T, object, linked string, seen map[string]int) {
	t.Helper()
	obj := openELF(t, object)
	orig := sectionData(t, obj, ".text")
	im := openImage(t, linked, len(orig))

	want := bytes.Clone(orig)
	solved := map[string]int64{}
	localExec := false
	done := 0 // the end of the last rewrite
	for _, r := range relocsOf(t, obj, ".text") {
		if r.off < done {
			continue
		}
		o := arch.Operands{A: r.addend, P: im.base + arch.Addr(r.off), GOT: arch.Addr(im.symbols["_GLOBAL_OFFSET_TABLE_"].Value)}
		where := fmt.Sprintf("%#x: %s against %s", r.off, relocName(r.typ), r.name)

		rewrite, ok := relax(r.typ, orig, im.text, r.off)
		if ok {
			seen[rewrite.Name]++
			localExec = localExec || rewrite.LocalExec
		} else {
			typ := r.typ
			if localExec && elf.R_X86_64(typ) == elf.R_X86_64_DTPOFF32 {
				typ = uint32(elf.R_X86_64_TPOFF32)
			}
			howto, ok := Arch.Relocs[typ]
			if !ok {
				t.Fatalf("%s: no such row", where)
			}
			rewrite = arch.Rewrite{
				End: howto.Size, Bytes: make([]byte, howto.Size), Howto: howto,
			}
		}
		start, end := r.off+rewrite.Start, r.off+rewrite.End
		done = end
		if rewrite.Howto.Size > 0 {
			by, v, ok := rewrite.Solve(im.text[start:end], o)
			if !ok {
				t.Fatalf("%s: cannot be solved", where)
			}
			branch := branchReloc(r.typ, orig, r.off) || elf.R_X86_64(r.typ) == elf.R_X86_64_PLTOFF64
			key := fmt.Sprintf("%c %s %d %v", by, r.name, rewrite.Howto.Need, branch)
			if old, ok := solved[key]; ok && old != v {
				t.Errorf("%s: %c is %#x and elsewhere %#x", where, by, v, old)
			}
			solved[key] = v
			checkSolution(t, im, where, r, by, v, branch)
			switch by {
			case 'S':
				o.S = arch.Addr(v)
			case 'G':
				o.G = arch.Addr(v)
			case 'T':
				o.TP = v
			case 'D':
				o.DTP = v
			case 'B':
				o.GOT = arch.Addr(v)
			}
		}
		code, err := rewrite.Expect(o)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		copy(want[start:end], code)
	}
	for i := range want {
		if want[i] != im.text[i] {
			t.Fatalf("byte %#x: % x, want % x (object: % x)", i,
				im.text[max(i-8, 0):min(i+24, len(want))], want[max(i-8, 0):min(i+24, len(want))], orig[max(i-8, 0):min(i+24, len(want))])
		}
	}
}

func checkSolution(t *testing.T, im image, where string, r reloc, by byte, v int64, branch bool) {
	t.Helper()
	s, ok := im.symbols[r.name]
	defined := ok && s.Section != elf.SHN_UNDEF
	var want int64
	switch {
	case by == 'G', by == 'B':
		if !im.in(uint64(v), ".got") && by == 'G' {
			t.Errorf("%s: slot %#x is not in the GOT", where, v)
		}
		return
	case elf.ST_TYPE(r.sym.Info) == elf.STT_SECTION:
		return // one solution for all its uses
	case !ok && r.sym.Section != elf.SHN_UNDEF: // local, stripped by the linker
		return
	case by == 'S' && (branch || !defined) && im.in(uint64(v), ".plt"):
		return
	case by == 'T' && r.name == "_TLS_MODULE_BASE_" && v == 0:
		return
	case by == 'T' && r.name == "_TLS_MODULE_BASE_":
		want = im.tpOffset(0) // mold
	case by == 'T':
		want = im.tpOffset(s.Value)
	case defined:
		want = int64(s.Value)
	}
	if v != want {
		t.Errorf("%s: %c is %#x, want %#x", where, by, v, want)
	}
}
