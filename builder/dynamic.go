// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format/elffile"
)

// dynamic is what an image leaves to its dynamic linker.
type dynamic struct {
	needed, runpath []string // libraries, and where they are looked for

	exists   bool // the image has a dynamic section
	pie      bool
	symbolic bool
	symbols  []dynSymbol
	named    map[string]*dynSymbol    // by name, the default version if it has several; by name@version
	words    map[arch.Addr]dynReloc   // by place
	slots    map[*dynSymbol]arch.Addr // a GOT slot of each imported or exported symbol
	stubs    map[arch.Addr]arch.Addr  // PLT entries: the slot that they jump through
}

type dynSymbol struct {
	name, version string
	hidden        bool // not the default version
	defined       bool
	addr          arch.Addr
	typ           elf.SymType
	bind          elf.SymBind
	vis           elf.SymVis
}

type dynReloc struct {
	typ    uint32
	sym    *dynSymbol // nil: none
	addend int64
}

const (
	dfSymbolic = 0x2
	df1PIE     = 0x08000000
)

func (m *image) readDynamic(f *elffile.File) error {
	d := &m.dyn
	d.named, d.words = map[string]*dynSymbol{}, map[arch.Addr]dynReloc{}
	d.slots, d.stubs = map[*dynSymbol]arch.Addr{}, map[arch.Addr]arch.Addr{}
	for _, p := range f.Progs {
		d.exists = d.exists || p.Type == elf.PT_DYNAMIC
	}
	if d.exists {
		if err := d.readFlags(f); err != nil {
			return err
		}
		var err error
		if d.needed, d.runpath, err = dependencies(f); err != nil {
			return err
		}
	}
	syms, err := f.DynamicSymbols()
	if err != nil {
		return err
	}
	d.symbols = make([]dynSymbol, len(syms))
	for i, s := range syms {
		d.symbols[i] = dynSymbol{name: s.Name, version: s.Version, hidden: s.HasVersion && s.VersionIndex.IsHidden(), defined: s.Section != elf.SHN_UNDEF, addr: arch.Addr(s.Value),
			typ: elf.ST_TYPE(s.Info), bind: elf.ST_BIND(s.Info), vis: elf.ST_VISIBILITY(s.Other)}
		sym := &d.symbols[i]
		if old := d.named[s.Name]; old == nil || !old.defined && sym.defined || old.hidden && !sym.hidden && old.defined == sym.defined {
			d.named[s.Name] = sym
		}
		if s.Version != "" {
			d.named[s.Name+"@"+s.Version] = sym
		}
	}
	for _, s := range f.Sections {
		if s.Type == elf.SHT_RELA && s.Flags&elf.SHF_ALLOC != 0 {
			if err := m.readDynRelocs(f, s); err != nil {
				return fmt.Errorf("section %s: %w", s.Name, err)
			}
		}
	}
	m.findStubs(f)
	return nil
}

func (d *dynamic) readFlags(f *elffile.File) error {
	for _, tag := range []elf.DynTag{elf.DT_SYMBOLIC, elf.DT_FLAGS, elf.DT_FLAGS_1} {
		values, err := f.DynValue(tag)
		if err != nil {
			return err
		}
		for _, v := range values {
			d.symbolic = d.symbolic || tag == elf.DT_SYMBOLIC || tag == elf.DT_FLAGS && v&dfSymbolic != 0
			d.pie = d.pie || tag == elf.DT_FLAGS_1 && v&df1PIE != 0
		}
	}
	return nil
}

func (m *image) readDynRelocs(f *elffile.File, s *elf.Section) error {
	data, err := f.Data(s)
	if err != nil {
		return err
	}
	for ; len(data) >= relaSize; data = data[relaSize:] {
		place, info := arch.Addr(binary.LittleEndian.Uint64(data)), binary.LittleEndian.Uint64(data[8:])
		r := dynReloc{typ: uint32(info), addend: int64(binary.LittleEndian.Uint64(data[16:]))}
		if n := info >> 32; n > uint64(len(m.dyn.symbols)) {
			return fmt.Errorf("no symbol %d", n)
		} else if n > 0 {
			r.sym = &m.dyn.symbols[n-1]
		}
		m.dyn.words[place] = r
		if t := m.arch.Dynamic; r.sym != nil && (r.typ == t.GlobDat || r.typ == t.JumpSlot) {
			if _, known := m.dyn.slots[r.sym]; !known || r.typ == t.GlobDat {
				m.dyn.slots[r.sym] = place
			}
		}
	}
	return nil
}

// findStubs finds the PLT: code whose only effect is a jump through a slot. The
// slot of a weak symbol that is nowhere defined may have no relocation.
func (m *image) findStubs(f *elffile.File) {
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_EXECINSTR == 0 || !hasName(s.Name, ".plt") && s.Name != ".iplt" {
			continue
		}
		code, err := f.Data(s)
		if err != nil {
			continue
		}
		for at := 0; at < len(code); at += stubAlign {
			entry := arch.Addr(s.Addr) + arch.Addr(at)
			if t, ok := m.arch.Trampoline(code[at:], entry); ok && t.Slot {
				m.dyn.stubs[entry] = t.To
			}
		}
	}
}

// stubAlign: entries of a PLT begin at multiples of 8 (.plt.got) or 16 bytes.
const stubAlign = 8

// word is what a pointer-sized word of the image holds once it is relocated.
type word struct {
	addr   arch.Addr  // where sym is nil
	sym    *dynSymbol // the dynamic linker looks it up, and adds addend
	addend int64
	ifunc  bool // addr is a resolver, which the dynamic linker calls for the value
}

func (m *image) word(at arch.Addr) (word, error) {
	if r, ok := m.dyn.words[at]; ok {
		if r.sym == nil {
			return word{addr: arch.Addr(r.addend), ifunc: r.typ == m.arch.Dynamic.IRelative}, nil
		}
		return word{sym: r.sym, addend: r.addend}, nil
	}
	b, err := m.read(at, 8)
	if err != nil {
		return word{}, err
	}
	return word{addr: arch.Addr(binary.LittleEndian.Uint64(b))}, nil
}
