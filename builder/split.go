// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"debug/elf"
	"fmt"
	"sort"
	"strings"
)

// split cuts the sections into atoms and makes references of relocations. What
// has symbols is cut at them; mergeable pieces, whose boundaries are in their
// content, are cut where something refers to them, so that an object's cost
// does not depend on what it only carries along.
func (o *object) split() error {
	for _, sec := range o.sections {
		if sec == nil {
			continue
		}
		switch {
		case isFrames(sec):
			if err := o.splitFrames(sec); err != nil {
				return err
			}
		case sec.mergeable():
			sec.pieces = map[uint64]*atom{}
		default:
			o.splitBySymbols(sec)
		}
	}
	if err := o.connect(); err != nil {
		return err
	}
	o.finish()
	return nil
}

// merged says whether the linker puts the pieces of a section where it likes.
func (s *section) merged() bool {
	return s.flags&elf.SHF_MERGE != 0 && s.entsize > 0 && s.data != nil
}

// mergeable says whether a section has nothing but pieces without names.
func (s *section) mergeable() bool { return s.merged() && !s.named() }

// named says whether a symbol that other code could know by address lies in
// the section.
func (s *section) named() bool {
	for _, sym := range s.symbols {
		if identifies(sym) {
			return true
		}
	}
	return false
}

// kindOf tells what the atoms of a section are, named or not.
func kindOf(sec *section, named bool) kind {
	switch {
	case sec.flags&elf.SHF_EXECINSTR != 0:
		return kindCode
	case sec.flags&elf.SHF_TLS != 0:
		return kindTLS
	case sec.typ == elf.SHT_INIT_ARRAY, sec.typ == elf.SHT_FINI_ARRAY, sec.typ == elf.SHT_PREINIT_ARRAY,
		hasName(sec.name, ".ctors"), hasName(sec.name, ".dtors"), hasName(sec.name, ".init_array"), hasName(sec.name, ".fini_array"):
		return kindStartup
	case hasName(sec.name, ".gcc_except_table"):
		return kindHandlers
	case sec.flags&elf.SHF_WRITE != 0 && !hasName(sec.name, ".data.rel.ro"):
		return kindVariable
	case named:
		return kindConstant
	}
	return kindLiteral
}

// hasName says whether a section is base or base.SOMETHING.
func hasName(name, base string) bool {
	return name == base || strings.HasPrefix(name, base+".")
}

// identifies says whether a symbol gives its atom an identity. Labels and the
// constants that a compiler makes up do not: nothing depends on their address.
func identifies(s *symbol) bool {
	if s.name == "" || strings.HasPrefix(s.name, ".L") {
		return false
	}
	if s.bind != elf.STB_LOCAL {
		return true
	}
	if s.size == 0 && (strings.HasPrefix(s.name, "$d") || strings.HasPrefix(s.name, "$x")) { // what follows is data, or code
		return false
	}
	if s.section != nil && s.section.flags&(elf.SHF_WRITE|elf.SHF_EXECINSTR) == 0 {
		switch base, numbered := staticBase(s.name); base {
		case "CSWTCH", "__func__", "__FUNCTION__", "__PRETTY_FUNCTION__", "C.0", "C.1", "C":
			return !numbered
		}
	}
	return s.typ != elf.STT_SECTION
}

// staticBase splits count.3 into count; numbered is false where there is no
// number.
func staticBase(name string) (base string, numbered bool) {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || i == len(name)-1 {
		return name, false
	}
	for _, c := range name[i+1:] {
		if c < '0' || c > '9' {
			return name, false
		}
	}
	return name[:i], true
}

// splitBySymbols cuts a section where its functions or variables begin. One
// that holds a single one is one atom; bytes before, between and behind that
// are no padding are atoms without a name.
func (o *object) splitBySymbols(sec *section) {
	if sec.size == 0 && len(sec.symbols) == 0 {
		return // atomAt makes one if something refers to it
	}
	code := sec.flags&elf.SHF_EXECINSTR != 0
	type piece struct{ start, end uint64 }
	var pieces []piece
	for _, s := range sec.symbols {
		if !boundary(s, code) {
			continue
		}
		last := len(pieces) - 1
		switch {
		case last >= 0 && s.value == pieces[last].start, last >= 0 && s.value < pieces[last].end:
			pieces[last].end = max(pieces[last].end, s.value+s.size)
		default:
			pieces = append(pieces, piece{s.value, s.value + s.size})
		}
	}
	if len(pieces) <= 1 && (len(pieces) == 0 || pieces[0].start == 0) {
		o.newAtom(sec, 0, sec.size)
		return
	}
	at := uint64(0)
	for i, p := range pieces {
		o.gap(sec, at, p.start, code)
		limit := sec.size
		if i+1 < len(pieces) {
			limit = pieces[i+1].start
		}
		if p.end == p.start { // a symbol without a size: up to the next
			p.end = limit
		}
		o.newAtom(sec, p.start, p.end-p.start)
		at = p.end
	}
	o.gap(sec, at, sec.size, code)
}

// boundary says whether an atom begins at a symbol.
func boundary(s *symbol, code bool) bool {
	switch s.typ {
	case elf.STT_FUNC, elf.STT_GNU_IFUNC, elf.STT_OBJECT, elf.STT_TLS, elf.STT_COMMON:
		return true
	case elf.STT_NOTYPE:
		return !code && s.name != "" && !strings.HasPrefix(s.name, "$") || code && s.bind != elf.STB_LOCAL
	}
	return false
}

// gap makes an atom of what lies between two others, unless it is padding.
func (o *object) gap(sec *section, from, to uint64, code bool) {
	if from >= to {
		return
	}
	if sec.merged() {
		for from < to {
			end := min(sec.pieceEnd(from), to)
			o.newAtom(sec, from, end-from)
			from = end
		}
		return
	}
	if sec.data != nil && o.padding(sec.data[from:to], code) || sec.data == nil {
		if len(sec.relocsIn(from, to)) == 0 {
			return
		}
	}
	o.newAtom(sec, from, to-from)
}

// padding says whether nothing in data means anything.
func (o *object) padding(data []byte, code bool) bool {
	if len(bytes.Trim(data, "\x00")) == 0 {
		return true
	}
	for code && len(data) > 0 {
		in, err := o.arch.Decode(data, 0)
		if err != nil || in.Len <= 0 || in.Len > len(data) || !in.Nop && !isTrap(in) {
			return false
		}
		data = data[in.Len:]
	}
	return code
}

func (o *object) newAtom(sec *section, off, size uint64) *atom {
	a := &atom{object: o, section: sec, off: off, size: size, align: alignAt(sec.align, off)}
	if sec.data != nil {
		a.data = sec.data[off : off+size : off+size]
	}
	for _, s := range symbolsIn(sec.symbols, off, off+size) {
		if identifies(s) && s.typ != elf.STT_NOTYPE || identifies(s) && s.bind != elf.STB_LOCAL {
			a.symbols = append(a.symbols, s)
		}
	}
	a.kind = kindOf(sec, len(a.symbols) > 0)
	for _, s := range a.symbols {
		if a.name == "" && s.value == off {
			a.name = s.name
		}
	}
	sec.atoms = append(sec.atoms, a)
	return a
}

// symbolsIn returns the symbols with from <= value < to; also one at the end of
// the section, which is in what lies before it.
func symbolsIn(sorted []*symbol, from, to uint64) []*symbol {
	i := sort.Search(len(sorted), func(i int) bool { return sorted[i].value >= from })
	j := sort.Search(len(sorted), func(i int) bool { return sorted[i].value >= to })
	if i < len(sorted) && from == to {
		for j < len(sorted) && sorted[j].value == to {
			j++
		}
	}
	return sorted[i:j]
}

func alignAt(align, off uint64) uint64 {
	if low := off & -off; off != 0 && low < align {
		return low
	}
	return align
}

// atomAt finds the atom that holds an offset of the section; pieces of a
// mergeable section are cut here. The end belongs to the last atom.
func (o *object) atomAt(sec *section, off int64) (*atom, error) {
	if len(sec.atoms) == 1 && sec.pieces == nil {
		return sec.atoms[0], nil
	}
	if len(sec.atoms) == 0 && sec.size == 0 {
		return o.newAtom(sec, 0, 0), nil
	}
	if sec.pieces == nil && len(sec.atoms) > 0 && off < 0 && off >= -biasReach {
		return sec.atoms[0], nil // the base of an array that is indexed from more than 0
	}
	if sec.pieces == nil && len(sec.atoms) > 0 && off > int64(sec.size) && off <= int64(sec.size)+biasReach {
		return sec.atoms[len(sec.atoms)-1], nil // or a loop that comes to its array from behind
	}
	if off < 0 || uint64(off) > sec.size {
		return nil, fmt.Errorf("%s%+#x: outside of the section", sec.name, off)
	}
	at := uint64(off)
	if sec.pieces != nil {
		return o.piece(sec, at), nil
	}
	i := sort.Search(len(sec.atoms), func(i int) bool { return sec.atoms[i].off > at }) - 1
	if i < 0 {
		return nil, fmt.Errorf("%s%+#x: nothing is there", sec.name, off)
	}
	return sec.atoms[i], nil
}

// piece cuts the string or constant of a mergeable section that holds at.
func (o *object) piece(sec *section, at uint64) *atom {
	if at >= sec.size {
		at = max(sec.size, 1) - 1
	}
	start := at - at%sec.entsize
	for sec.flags&elf.SHF_STRINGS != 0 && start >= sec.entsize && !isZero(sec.data[start-sec.entsize:start]) {
		start -= sec.entsize
	}
	if a := sec.pieces[start]; a != nil {
		return a
	}
	a := o.newAtom(sec, start, sec.pieceEnd(start)-start)
	sec.pieces[start] = a
	return a
}

// pieceEnd is where the string or constant ends that begins at start.
func (s *section) pieceEnd(start uint64) uint64 {
	end := start
	for end < s.size {
		next := min(end+s.entsize, s.size)
		last := s.flags&elf.SHF_STRINGS == 0 || isZero(s.data[end:next])
		if end = next; last {
			break
		}
	}
	return end
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// finish numbers the atoms in the order of sections and offsets and finds
// parents of split functions.
func (o *object) finish() {
	for _, sec := range o.sections {
		if sec == nil {
			continue
		}
		sort.SliceStable(sec.atoms, func(i, j int) bool { return sec.atoms[i].off < sec.atoms[j].off })
		for _, a := range sec.atoms {
			a.index = len(o.atoms)
			o.atoms = append(o.atoms, a)
			for _, s := range a.symbols {
				o.byName[s.name] = append(o.byName[s.name], a)
			}
		}
	}
	o.attachFrames()
	for _, a := range o.atoms {
		if a.kind != kindCode {
			continue
		}
		if base, ok := coldBase(a.name); ok {
			if p := o.byName[base]; len(p) == 1 && p[0].kind == kindCode {
				a.parent = p[0]
				p[0].colds = append(p[0].colds, a)
			}
		}
	}
}

// coldBase tells the function that NAME.cold or NAME.cold.N was split from.
func coldBase(name string) (string, bool) {
	if base, numbered := staticBase(name); numbered && strings.HasSuffix(base, ".cold") {
		name = base
	}
	return strings.CutSuffix(name, ".cold")
}
