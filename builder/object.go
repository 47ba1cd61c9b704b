// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/arch/all"
	"github.com/ulpatch/ulpatch/format/elffile"
)

// section is a section of an object that is loaded when it is linked.
type section struct {
	index   int
	name    string
	typ     elf.SectionType
	flags   elf.SectionFlag
	align   uint64
	size    uint64
	entsize uint64
	data    []byte // nil for SHT_NOBITS
	relocs  []rela // by offset

	symbols []*symbol // by value, size descending, name
	atoms   []*atom   // by offset; of pieces that are cut on demand, those that were
	pieces  map[uint64]*atom
	starts  map[uint64]bool // places that code refers to
}

type symbol struct {
	name    string
	section *section // nil: undefined, absolute
	value   uint64
	size    uint64
	bind    elf.SymBind
	typ     elf.SymType
	vis     elf.SymVis
	abs     bool
}

func (s *symbol) defined() bool { return s.section != nil }

// label says whether the symbol stands for a place and not for what is there: a
// section's, or one like .LANCHOR0.
func (s *symbol) label() bool {
	return s.typ == elf.STT_SECTION || s.bind == elf.STB_LOCAL && strings.HasPrefix(s.name, ".L")
}

type rela struct {
	off    uint64
	typ    uint32
	sym    *symbol
	addend int64
	adjust int64 // S + addend + adjust is what is referred to
	access bool  // and is read or written there
}

// object is a relocatable file as a graph of atoms.
type object struct {
	name     string // as it is shown
	arch     *arch.Arch
	file     string // STT_FILE
	sections []*section
	symbols  []*symbol
	atoms    []*atom // by section and offset
	byName   map[string][]*atom

	compilers []string // as .comment names them
	lto       ltoKind

	scalars  map[*atom]bool // see atom.scalar
	followed map[*atom]followed

	lines  []lineRow // see isLine, once they were needed
	raw    []byte    // the file
	madeBy string    // see producer, once looked is set
	looked bool
}

// maxObject bounds an object's file, and so what is made of it.
const maxObject = 256 << 20

// readObject parses a relocatable ELF64 file.
func readObject(name string, data []byte) (o *object, err error) {
	defer func() {
		if err != nil {
			var r *Refusal
			if !errors.As(err, &r) { // it names the object itself
				err = fmt.Errorf("%s: %w", name, err)
			}
		}
	}()
	if isBitcode(data) {
		return nil, ltoRefusal(name)
	}
	if len(data) > maxObject {
		return nil, fmt.Errorf("%d bytes, more than %d", len(data), maxObject)
	}
	f, err := elffile.New(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	if f.Type != elf.ET_REL {
		return nil, fmt.Errorf("%v is not a relocatable file", f.Type)
	}
	a, err := all.ByMachine(f.Machine)
	if err != nil {
		return nil, err
	}
	o = &object{name: name, arch: a, byName: map[string][]*atom{}, raw: data}
	if o.compilers, err = commentOf(f); err != nil {
		return nil, err
	}
	if isSlim(f, &o.lto) {
		return nil, ltoRefusal(name)
	}
	if err := o.readSections(f); err != nil {
		return nil, err
	}
	if err := o.readSymbols(f); err != nil {
		return nil, err
	}
	if err := o.readRelocs(f); err != nil {
		return nil, err
	}
	if err := o.split(); err != nil {
		return nil, err
	}
	return o, nil
}

func (o *object) readSections(f *elffile.File) error {
	o.sections = make([]*section, len(f.Sections))
	for i, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Type == elf.SHT_NOTE || s.Type == elf.SHT_NULL {
			continue
		}
		if strings.HasPrefix(s.Name, ".note.") || s.Name == ".llvm_addrsig" {
			continue
		}
		sec := &section{index: i, name: s.Name, typ: s.Type, flags: s.Flags, align: max(s.Addralign, 1), size: s.Size, entsize: s.Entsize}
		if s.Flags&elf.SHF_COMPRESSED != 0 || sec.align&(sec.align-1) != 0 || sec.size > 1<<40 {
			return fmt.Errorf("section %s: malformed header", s.Name)
		}
		if s.Type != elf.SHT_NOBITS {
			data, err := f.Data(s)
			if err != nil {
				return err
			}
			if uint64(len(data)) != s.Size {
				return fmt.Errorf("section %s: cut short", s.Name)
			}
			sec.data = data
		}
		o.sections[i] = sec
	}
	return nil
}

func (o *object) readSymbols(f *elffile.File) error {
	syms, err := f.Symbols()
	if err != nil {
		return err
	}
	var common *section
	for i := range syms {
		s := &syms[i]
		sym := &symbol{name: s.Name, value: s.Value, size: s.Size, bind: elf.ST_BIND(s.Info), typ: elf.ST_TYPE(s.Info), vis: elf.ST_VISIBILITY(s.Other)}
		o.symbols = append(o.symbols, sym)
		switch {
		case sym.typ == elf.STT_FILE:
			if o.file == "" {
				o.file = s.Name
			}
			sym.abs = true
		case s.Section == elf.SHN_UNDEF:
		case s.Section == elf.SHN_ABS:
			sym.abs = true
		case s.Section == elf.SHN_COMMON:
			if common == nil {
				common = &section{index: len(o.sections), name: "COMMON", typ: elf.SHT_NOBITS, flags: elf.SHF_ALLOC | elf.SHF_WRITE, align: 1}
				o.sections = append(o.sections, common)
			}
			align := max(s.Value, 1)
			if align&(align-1) != 0 || align > 1<<20 || s.Size > 1<<40 {
				return fmt.Errorf("symbol %q: malformed", s.Name)
			}
			common.align = max(common.align, align)
			sym.value = (common.size + align - 1) &^ (align - 1)
			common.size = sym.value + s.Size
			sym.section = common
		case int(s.Section) < len(o.sections):
			sec := o.sections[s.Section]
			if sec == nil {
				sym.abs = true // in a section that is not loaded
				continue
			}
			if sym.value > sec.size || sym.size > sec.size-sym.value {
				return fmt.Errorf("symbol %q: outside of section %s", s.Name, sec.name)
			}
			sym.section = sec
		default:
			return fmt.Errorf("symbol %q: no section %d", s.Name, s.Section)
		}
		if sym.section != nil && sym.typ != elf.STT_SECTION {
			sym.section.symbols = append(sym.section.symbols, sym)
		}
	}
	for _, sec := range o.sections {
		if sec != nil {
			sortSymbols(sec.symbols)
		}
	}
	return nil
}

func sortSymbols(s []*symbol) {
	sort.SliceStable(s, func(i, j int) bool {
		a, b := s[i], s[j]
		switch {
		case a.value != b.value:
			return a.value < b.value
		case a.size != b.size:
			return a.size > b.size
		case (a.bind == elf.STB_LOCAL) != (b.bind == elf.STB_LOCAL):
			return b.bind == elf.STB_LOCAL
		}
		return a.name < b.name
	})
}

const relaSize = 24

func (o *object) readRelocs(f *elffile.File) error {
	for _, s := range f.Sections {
		if s.Type == elf.SHT_REL && int(s.Info) < len(o.sections) && o.sections[s.Info] != nil {
			return fmt.Errorf("section %s: relocations without addends are not supported", s.Name)
		}
		if s.Type != elf.SHT_RELA || int(s.Info) >= len(f.Sections) || o.sections[s.Info] == nil {
			continue
		}
		sec := o.sections[s.Info]
		data, err := f.Data(s)
		if err != nil {
			return err
		}
		if len(data)%relaSize != 0 {
			return fmt.Errorf("section %s: cut short", s.Name)
		}
		for ; len(data) > 0; data = data[relaSize:] {
			info := binary.LittleEndian.Uint64(data[8:])
			r := rela{off: binary.LittleEndian.Uint64(data), typ: uint32(info), addend: int64(binary.LittleEndian.Uint64(data[16:]))}
			size := uint64(o.arch.Relocs[r.typ].Size)
			if r.off > sec.size || size > sec.size-r.off || sec.data == nil {
				return fmt.Errorf("%s+%#x: %s: outside of the section", sec.name, r.off, o.arch.RelocName(r.typ))
			}
			if n := info >> 32; n > uint64(len(o.symbols)) {
				return fmt.Errorf("%s+%#x: no symbol %d", sec.name, r.off, n)
			} else if n > 0 {
				r.sym = o.symbols[n-1]
			}
			sec.relocs = append(sec.relocs, r)
		}
	}
	for _, sec := range o.sections {
		if sec != nil {
			sort.SliceStable(sec.relocs, func(i, j int) bool { return sec.relocs[i].off < sec.relocs[j].off })
		}
	}
	return nil
}
