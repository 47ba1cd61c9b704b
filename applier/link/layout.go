// SPDX-License-Identifier: GPL-2.0-or-later

// Package link lays a payload out in memory and relocates it for the place
// that was found for it. It is pure: it reads no process and writes bytes of
// its own only.
package link

import (
	"debug/elf"
	"fmt"
	"strings"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format/payload"
)

// Region is memory of one protection. The regions of a layout lie behind each
// other, each a whole number of pages.
type Region struct {
	Offset, Size uint64 // bytes from the start of the layout
}

// End is the offset behind the region.
func (r Region) End() uint64 { return r.Offset + r.Size }

// Layout is where everything of a payload goes, relative to a base that is not
// chosen yet. Data is read-only data, slots and the caller's header; Code is
// code and stubs; Vars is what the payload's code may write.
type Layout struct {
	Data, Code, Vars Region
	// Size is the whole, in bytes.
	Size uint64
	// Unwind is the payload's call-frame information, inside Data; of no size
	// where it has none.
	Unwind Region

	arch    *arch.Arch
	file    *payload.File
	section []int64 // offset of each section; -1 where it is not loaded
	slots   map[slotKey]uint64
	order   []slotKey // of slots
	gotBase uint64
	stubs   map[int]stub // by symbol
	tlsdesc uint64       // offset of the descriptors' resolver
}

type slotKey struct {
	symbol int
	need   arch.Need
}

// stub is a jump to a symbol that may be out of reach, and its slot.
type stub struct{ code, slot uint64 }

const (
	slotSize  = 8
	slotsPair = 16
	stubAlign = 16
	maxSize   = 256 << 20
)

// New lays out a payload whose first header bytes of Data are the caller's.
// Every relocation of what is loaded has to be one that the port applies.
func New(a *arch.Arch, f *payload.File, header, pageSize uint64) (*Layout, error) {
	if f.Machine != a.Machine {
		return nil, fmt.Errorf("payload is for %s, not %s", f.Machine, a.Machine)
	}
	l := &Layout{
		arch: a, file: f, section: make([]int64, len(f.Sections)),
		slots: map[slotKey]uint64{}, stubs: map[int]stub{},
	}
	l.Data = Region{0, header}
	if err := l.place(&l.Data, isData, pageSize); err != nil {
		return nil, err
	}
	if err := l.placeSlots(); err != nil {
		return nil, err
	}
	l.Data.Size = alignUp(l.Data.Size, pageSize)

	l.Code = Region{Offset: l.Data.End()}
	if err := l.place(&l.Code, isCode, pageSize); err != nil {
		return nil, err
	}
	l.placeStubs()
	l.Code.Size = alignUp(l.Code.Size, pageSize)

	l.Vars = Region{Offset: l.Code.End()}
	if err := l.place(&l.Vars, isVars, pageSize); err != nil {
		return nil, err
	}
	l.Vars.Size = alignUp(l.Vars.Size, pageSize)
	l.Size = l.Vars.End()
	return l, nil
}

func alignUp(n, align uint64) uint64 { return (n + align - 1) &^ (align - 1) }

// relro sections are written by nobody but the dynamic linker, whose place we
// take.
func relro(s payload.Section) bool { return strings.HasPrefix(s.Name, ".data.rel.ro") }

func loaded(s payload.Section) bool { return s.Flags&elf.SHF_ALLOC != 0 }
func isCode(s payload.Section) bool { return loaded(s) && s.Flags&elf.SHF_EXECINSTR != 0 }
func isVars(s payload.Section) bool {
	return loaded(s) && !isCode(s) && s.Flags&elf.SHF_WRITE != 0 && !relro(s)
}
func isData(s payload.Section) bool { return loaded(s) && !isCode(s) && !isVars(s) }

func (l *Layout) place(r *Region, belongs func(payload.Section) bool, pageSize uint64) error {
	for i, s := range l.file.Sections {
		if !loaded(s) {
			l.section[i] = -1
		}
		if !belongs(s) {
			continue
		}
		if s.Flags&elf.SHF_TLS != 0 {
			return fmt.Errorf("%s: new thread-local data cannot be added to a running process", s.Name)
		}
		if s.Flags&elf.SHF_EXECINSTR != 0 && s.Flags&elf.SHF_WRITE != 0 {
			return fmt.Errorf("%s: writable and executable at once", s.Name)
		}
		if s.Align > pageSize {
			return fmt.Errorf("%s: alignment %d is larger than a page", s.Name, s.Align)
		}
		r.Size = alignUp(r.Size, max(s.Align, 1))
		if s.Size > maxSize || r.Size+s.Size > maxSize {
			return fmt.Errorf("%s: payload is larger than %d bytes", s.Name, maxSize)
		}
		l.section[i] = int64(r.End())
		if s.Name == ".eh_frame" {
			l.Unwind = Region{r.End(), s.Size}
		}
		r.Size += s.Size
	}
	return nil
}

// placeSlots gives every slot that a relocation needs its place behind the
// read-only data, and counts on a slot for each stub.
func (l *Layout) placeSlots() error {
	r := &l.Data
	r.Size = alignUp(r.Size, slotsPair)
	l.gotBase = r.End()
	take := func(size uint64) uint64 {
		at := r.End()
		r.Size += size
		return at
	}
	for _, s := range l.file.Sections {
		if !loaded(s) {
			continue
		}
		for _, rel := range s.Relocs {
			how, ok := l.arch.Relocs[rel.Type]
			if !ok {
				return fmt.Errorf("%s+%#x: %s: unsupported relocation", s.Name, rel.Off, l.arch.RelocName(rel.Type))
			}
			key := slotKey{rel.Symbol, how.Need}
			if how.Need == arch.NeedStub {
				if _, ok := l.stubs[rel.Symbol]; !ok && l.undefined(rel.Symbol) {
					l.stubs[rel.Symbol] = stub{slot: take(slotSize)}
				}
				continue
			}
			size := slotBytes(how.Need)
			if _, ok := l.slots[key]; !ok && size > 0 {
				l.slots[key] = take(size)
				l.order = append(l.order, key)
			}
		}
	}
	return nil
}

func (l *Layout) undefined(symbol int) bool {
	return symbol != payload.NoSymbol && l.file.Symbols[symbol].Section == payload.Undefined
}

// symbolName is for messages.
func (l *Layout) symbolName(symbol int) string {
	if symbol == payload.NoSymbol {
		return "no symbol"
	}
	return fmt.Sprintf("%q", l.file.Symbols[symbol].Name)
}

func slotBytes(need arch.Need) uint64 {
	switch need {
	case arch.NeedGOT, arch.NeedGOTTP:
		return slotSize
	case arch.NeedTLSGD, arch.NeedTLSLD, arch.NeedTLSDesc:
		return slotsPair
	}
	return 0
}

func (l *Layout) placeStubs() {
	r := &l.Code
	r.Size = alignUp(r.Size, stubAlign)
	for symbol := range l.file.Symbols { // in the file's order, so that it is the same each time
		if s, ok := l.stubs[symbol]; ok {
			s.code = r.End()
			l.stubs[symbol] = s
			r.Size += uint64(l.arch.StubSize)
		}
	}
	for key := range l.slots {
		if key.need == arch.NeedTLSDesc && l.tlsdesc == 0 {
			r.Size = alignUp(r.Size, stubAlign)
			l.tlsdesc = r.End()
			r.Size += uint64(len(l.arch.TLSDescReturn))
		}
	}
}

// Symbol is the offset of a symbol that the payload defines.
func (l *Layout) Symbol(name string) (offset, size uint64, ok bool) {
	for _, s := range l.file.Symbols {
		if s.Name == name && s.Section >= 0 && l.section[s.Section] >= 0 {
			return uint64(l.section[s.Section]) + s.Value, s.Size, true
		}
	}
	return 0, 0, false
}
