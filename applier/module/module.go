// SPDX-License-Identifier: GPL-2.0-or-later

// Package module finds the ELF images that a process runs and reads them in
// the process's memory, never from their files, which may have been replaced,
// deleted, or be out of sight in another mount namespace. It knows the
// System V gABI's program headers, dynamic section and symbol tables.
package module

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format/elffile"
)

// Memory is the memory of a process.
type Memory interface {
	// Read fills p from addr, all of it or an error.
	Read(addr arch.Addr, p []byte) error
}

// Module is an image that a process runs.
type Module struct {
	Path    string // as the memory map names it
	Dev     string
	Inode   uint64
	Machine elf.Machine
	Type    elf.Type
	// Bias is what has to be added, modulo 2^64, to a link-time address.
	Bias arch.Addr
	// Start and End bound the loaded segments, in pages.
	Start, End arch.Addr
	BuildID    string // lower-case hexadecimal; "" if it has none
	Progs      []elf.ProgHeader
	Main       bool // it is the executable; see MarkProgram

	mem Memory
	dyn *dynamic
}

const (
	maxProgs = 128
	maxNotes = 1 << 16
	vdsoPath = "[vdso]"
)

// Load finds the modules of a process, in ascending order of addresses. What
// is mapped of an ELF file only to be read as data is no module.
func Load(maps proc.Maps, mem Memory) []*Module {
	var list []*Module
	for _, m := range maps {
		if m.Offset != 0 || !m.Readable() || (m.Inode == 0 && m.Path != vdsoPath) {
			continue
		}
		if mod, err := load(m, maps, mem); err == nil {
			list = append(list, mod)
		}
	}
	return list
}

func load(first proc.Mapping, maps proc.Maps, mem Memory) (*Module, error) {
	var ident [64]byte
	if err := mem.Read(first.Start, ident[:]); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(ident[:], []byte(elf.ELFMAG)) ||
		elf.Class(ident[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(ident[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return nil, fmt.Errorf("%s: no 64-bit little-endian ELF file", first.Path)
	}
	var head elf.Header64
	if err := binary.Read(bytes.NewReader(ident[:]), binary.LittleEndian, &head); err != nil {
		return nil, err
	}
	const size = 56 // of Elf64_Phdr
	if head.Phentsize != size || head.Phnum == 0 || head.Phnum > maxProgs {
		return nil, fmt.Errorf("%s: %d program headers of %d bytes", first.Path, head.Phnum, head.Phentsize)
	}
	table := make([]byte, size*int(head.Phnum))
	if err := mem.Read(first.Start+arch.Addr(head.Phoff), table); err != nil {
		return nil, err
	}
	progs := make([]elf.Prog64, head.Phnum)
	if err := binary.Read(bytes.NewReader(table), binary.LittleEndian, progs); err != nil {
		return nil, err
	}

	m := &Module{
		Path: first.Path, Dev: first.Dev, Inode: first.Inode,
		Machine: elf.Machine(head.Machine), Type: elf.Type(head.Type), mem: mem,
	}
	found := false
	for _, p := range progs {
		m.Progs = append(m.Progs, elf.ProgHeader{
			Type: elf.ProgType(p.Type), Flags: elf.ProgFlag(p.Flags), Off: p.Off, Vaddr: p.Vaddr,
			Paddr: p.Paddr, Filesz: p.Filesz, Memsz: p.Memsz, Align: p.Align,
		})
		if elf.ProgType(p.Type) == elf.PT_LOAD && p.Off == 0 && !found {
			m.Bias = first.Start - arch.Addr(p.Vaddr)
			found = true
		}
	}
	if !found {
		return nil, fmt.Errorf("%s: no segment holds the ELF header", first.Path)
	}
	if err := m.bound(maps); err != nil {
		return nil, err
	}
	m.readBuildID()
	return m, nil
}

const pageMask = 0xfff

// bound finds Start and End, and makes sure that the code is mapped as code.
func (m *Module) bound(maps proc.Maps) error {
	code := false
	m.Start = ^arch.Addr(0)
	for _, p := range m.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		from := m.Bias + arch.Addr(p.Vaddr)
		m.Start = min(m.Start, from&^pageMask)
		m.End = max(m.End, (from+arch.Addr(p.Memsz)+pageMask)&^pageMask)
		if p.Flags&elf.PF_X == 0 || p.Filesz == 0 {
			continue
		}
		mapping, ok := maps.Find(from)
		if !ok || !mapping.Executable() || mapping.Inode != m.Inode || mapping.Dev != m.Dev {
			return fmt.Errorf("%s: not mapped as code", m.Path)
		}
		code = true
	}
	if !code {
		return fmt.Errorf("%s: no code", m.Path)
	}
	return nil
}

func (m *Module) readBuildID() {
	for _, p := range m.Progs {
		if p.Type != elf.PT_NOTE || p.Filesz > maxNotes {
			continue
		}
		notes := make([]byte, p.Filesz)
		if m.mem.Read(m.Addr(p.Vaddr), notes) != nil {
			continue
		}
		if id, err := elffile.NotesBuildID(notes, p.Align); err == nil {
			m.BuildID = id
			return
		}
	}
}

// Addr is where a link-time address is in the process.
func (m *Module) Addr(link uint64) arch.Addr { return m.Bias + arch.Addr(link) }

// Contains tells whether addr lies in a loaded segment.
func (m *Module) Contains(addr arch.Addr) bool { return m.Start <= addr && addr < m.End }

// IsCode tells whether addr lies in an executable segment.
func (m *Module) IsCode(addr arch.Addr) bool {
	for _, p := range m.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 {
			if off := uint64(addr - m.Addr(p.Vaddr)); off < p.Memsz {
				return true
			}
		}
	}
	return false
}

// Prog returns the first program header of a type.
func (m *Module) Prog(typ elf.ProgType) (elf.ProgHeader, bool) {
	for _, p := range m.Progs {
		if p.Type == typ {
			return p, true
		}
	}
	return elf.ProgHeader{}, false
}

// Name is the path without directories and without the mark of deleted files.
func (m *Module) Name() string {
	name := strings.TrimSuffix(m.Path, " (deleted)")
	return name[strings.LastIndexByte(name, '/')+1:]
}

// Find returns the module that addr lies in.
func Find(list []*Module, addr arch.Addr) *Module {
	for _, m := range list {
		if m.Contains(addr) {
			return m
		}
	}
	return nil
}
