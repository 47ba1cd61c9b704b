// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/payload"
)

// emitter lays what is carried into a payload's sections.
type emitter struct {
	p    *patch
	file payload.File

	sections map[string]int
	placed   map[*atom]placed
	symbols  map[*atom]int // of carried atoms that have a name
	bases    map[int]int   // section symbols
	undef    map[*imported]int
	taken    map[string]bool // names
}

// placed is an atom's place in the payload.
type placed struct {
	section int
	off     uint64
}

// emit writes the payload. It depends on the patch alone.
func (p *patch) emit() ([]byte, error) {
	e := &emitter{p: p, sections: map[string]int{}, placed: map[*atom]placed{}, symbols: map[*atom]int{},
		bases: map[int]int{}, undef: map[*imported]int{}, taken: map[string]bool{}}
	e.file.Machine = p.image.arch.Machine
	e.file.Table.Image = p.report.Image
	if err := e.lay(); err != nil {
		return nil, err
	}
	e.defineSymbols()
	e.defineImports()
	if err := e.relocate(); err != nil {
		return nil, err
	}
	e.functionTable()
	e.hookTable()
	data, err := payload.Encode(&e.file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.image.name, err)
	}
	p.report.Size = len(data)
	return data, nil
}

// lay places the atoms: code, then data, in the order of the units, and the
// unwind entries behind their CIE.
func (e *emitter) lay() error {
	const loaded, written, executed = elf.SHF_ALLOC, elf.SHF_ALLOC | elf.SHF_WRITE, elf.SHF_ALLOC | elf.SHF_EXECINSTR
	kinds := []struct {
		name  string
		typ   elf.SectionType
		flags elf.SectionFlag
		takes func(*atom) bool
	}{
		{".text", elf.SHT_PROGBITS, executed, func(a *atom) bool { return a.kind == kindCode }},
		{".rodata", elf.SHT_PROGBITS, loaded, func(a *atom) bool { return a.kind == kindConstant || a.kind == kindLiteral }},
		{".data", elf.SHT_PROGBITS, written, func(a *atom) bool { return a.kind == kindVariable && a.data != nil }},
		{".bss", elf.SHT_NOBITS, written, func(a *atom) bool { return a.kind == kindVariable && a.data == nil }},
		{".gcc_except_table", elf.SHT_PROGBITS, loaded, func(a *atom) bool { return a.kind == kindHandlers }},
	}
	for _, k := range kinds {
		s := payload.Section{Name: k.name, Type: k.typ, Flags: k.flags, Align: 1}
		for _, a := range e.p.order {
			if _, done := e.placed[a]; done || !k.takes(a) {
				continue
			}
			e.layGroup(&s, e.p.together(a))
		}
		if s.Size > payload.MaxLoadSize {
			return fmt.Errorf("%s: %s: %d bytes, more than %d", e.p.image.name, s.Name, s.Size, payload.MaxLoadSize)
		}
		if s.Size > 0 {
			e.file.Sections = append(e.file.Sections, s)
		}
	}
	e.layFrames()
	return nil
}

// together returns what is carried at fixed distances from an atom, itself
// included, by offset.
func (p *patch) together(a *atom) []*atom {
	if len(p.joined) == 0 {
		return []*atom{a}
	}
	var out []*atom
	for _, b := range p.order {
		if b.section == a.section && p.group(b) == p.group(a) {
			out = append(out, b)
		}
	}
	return out
}

// layGroup appends atoms at the distances that they have in their section.
func (e *emitter) layGroup(s *payload.Section, group []*atom) {
	first, last := group[0], group[len(group)-1]
	align := first.align
	if len(group) > 1 {
		align = first.section.align
	}
	base := (s.Size+align-1)&^(align-1) + first.off%align
	if len(group) == 1 {
		base = (s.Size + align - 1) &^ (align - 1)
	}
	grow(s, 1, base-s.Size, nil)
	s.Align = max(s.Align, align)
	grow(s, 1, last.off+last.size-first.off, nil)
	for _, a := range group {
		at := base + a.off - first.off
		if s.Type != elf.SHT_NOBITS {
			copy(s.Data[at:], masked(a))
		}
		e.placed[a] = placed{len(e.file.Sections), at}
	}
}

// layFrames writes .eh_frame: each different CIE once, its FDEs behind it.
func (e *emitter) layFrames() {
	s := payload.Section{Name: ".eh_frame", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Align: frameAlign}
	index := len(e.file.Sections)
	var cies []*atom
	for _, a := range e.p.order {
		if a.kind != kindFDE {
			continue
		}
		i := slices.IndexFunc(cies, func(c *atom) bool { return e.sameCIE(c, a.cie) })
		if i < 0 {
			i = len(cies)
			cies = append(cies, a.cie)
			e.placed[a.cie] = placed{index, grow(&s, 1, a.cie.size, masked(a.cie))}
		}
		at := grow(&s, 1, a.size, masked(a))
		e.placed[a] = placed{index, at}
		link := at + cieField - e.placed[cies[i]].off
		binary.LittleEndian.PutUint32(s.Data[at+cieField:], uint32(link))
	}
	if s.Size > 0 {
		e.file.Sections = append(e.file.Sections, s)
	}
}

const frameAlign = 8

// sameCIE compares two CIEs by bytes and by where their references go.
func (e *emitter) sameCIE(a, b *atom) bool {
	return slices.Equal(a.data, b.data) && slices.Equal(e.p.dests[a], e.p.dests[b])
}

// grow appends an atom to a section and returns its offset.
func grow(s *payload.Section, align, size uint64, data []byte) uint64 {
	at := (s.Size + align - 1) &^ (align - 1)
	if s.Type != elf.SHT_NOBITS {
		s.Data = append(s.Data, make([]byte, at-s.Size)...)
		s.Data = append(s.Data, data...)
		s.Data = append(s.Data, make([]byte, size-uint64(len(data)))...)
	}
	s.Size = at + size
	s.Align = max(s.Align, align)
	return at
}

// name returns want, or something like it that is still free.
func (e *emitter) name(want, unit string) string {
	name := want
	if e.taken[name] && unit != "" {
		name = want + "." + strings.NewReplacer(".", "_", "(", "_", ")", "").Replace(filepath.Base(unit))
	}
	for i := 2; e.taken[name]; i++ {
		name = fmt.Sprintf("%s.%d", want, i)
	}
	e.taken[name] = true
	return name
}

// defineSymbols names the functions and variables that are carried, and every
// section.
func (e *emitter) defineSymbols() {
	for i := range e.file.Sections {
		e.bases[i] = len(e.file.Symbols)
		e.file.Symbols = append(e.file.Symbols, payload.Symbol{Section: i, Type: elf.STT_SECTION, Bind: elf.STB_LOCAL})
	}
	for _, a := range e.p.order {
		if a.name == "" || a.kind > kindConstant {
			continue
		}
		typ := elf.STT_OBJECT
		if a.kind == kindCode {
			typ = elf.STT_FUNC
		}
		bind := elf.STB_LOCAL
		if a.global() {
			bind = elf.STB_GLOBAL
		}
		at := e.placed[a]
		e.symbols[a] = len(e.file.Symbols)
		e.file.Symbols = append(e.file.Symbols, payload.Symbol{Name: e.name(a.name, a.object.name), Section: at.section, Value: at.off, Size: a.size, Type: typ, Bind: bind})
	}
}

func (e *emitter) defineImports() {
	var all []*imported
	used := map[*imported]bool{}
	for _, a := range e.p.order {
		for _, d := range e.p.dests[a] {
			if d.imp != nil && !used[d.imp] {
				used[d.imp] = true
				all = append(all, d.imp)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *imported) int {
		return cmp.Or(cmp.Compare(a.want, b.want), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Version, b.Version))
	})
	for _, imp := range all {
		imp.Symbol = e.name(imp.want, imp.unit)
		bind := elf.STB_GLOBAL
		if imp.Weak {
			bind = elf.STB_WEAK
		}
		e.undef[imp] = len(e.file.Symbols)
		e.file.Symbols = append(e.file.Symbols, payload.Symbol{Name: imp.Symbol, Section: payload.Undefined, Type: imp.typ, Bind: bind})
	}
	slices.SortFunc(all, func(a, b *imported) int { return cmp.Compare(a.Symbol, b.Symbol) })
	for _, imp := range all {
		e.file.Table.Imports = append(e.file.Table.Imports, imp.Import)
		e.p.report.Imports = append(e.p.report.Imports, ImportReport{imp.Import, imp.unit, imp.how, imp.how == newImport, imp.from})
	}
}

func (e *emitter) relocate() error {
	for _, a := range e.p.order {
		at, ok := e.placed[a]
		if !ok {
			continue // a CIE whose twin is there
		}
		s := &e.file.Sections[at.section]
		for i, d := range e.p.dests[a] {
			r := &a.refs[i]
			out := payload.Reloc{Off: at.off + r.off, Type: r.typ, Addend: d.addend}
			switch {
			case d.imp != nil:
				out.Symbol = e.undef[d.imp]
			case d.atom != nil:
				symbol, named := e.symbols[d.atom]
				if !named {
					to, ok := e.placed[d.atom]
					if !ok {
						return fmt.Errorf("%s+%#x: refers to %s, which is not carried", a.place(), r.off, d.atom)
					}
					symbol = e.bases[to.section]
					out.Addend += int64(to.off)
				}
				out.Symbol = symbol
			default:
				return fmt.Errorf("%s+%#x: goes nowhere", a.place(), r.off)
			}
			s.Relocs = append(s.Relocs, out)
		}
	}
	for i := range e.file.Sections {
		slices.SortStableFunc(e.file.Sections[i].Relocs, func(a, b payload.Reloc) int { return cmp.Compare(a.Off, b.Off) })
	}
	return nil
}

func (e *emitter) functionTable() {
	for _, s := range e.p.sites {
		f := format.Function{
			Range:  format.Range{Name: s.old.name, Addr: format.Hex(s.addr), Size: s.entry.size},
			Digest: s.entry.digest, Room: s.entry.room, Symbol: e.file.Symbols[e.symbols[s.new]].Name,
		}
		for _, c := range s.old.colds {
			if at, ok := s.loc.addr[c]; ok {
				f.Parts = append(f.Parts, format.Range{Name: c.name, Addr: format.Hex(at), Size: c.size})
			}
		}
		slices.SortFunc(f.Parts, func(a, b format.Range) int { return cmp.Compare(a.Addr, b.Addr) })
		e.file.Table.Functions = append(e.file.Table.Functions, f)
		why := s.loc.unit.changed[s.new]
		e.p.report.Functions = append(e.p.report.Functions, FunctionReport{
			Unit: s.loc.unit.name, Name: s.old.name, Addr: f.Addr, Size: s.old.size, NewSize: s.new.size,
			Room: f.Room, Why: why.String(), Old: why.Old, New: why.New,
		})
	}
}
