// SPDX-License-Identifier: GPL-2.0-or-later

package module

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ulpatch/ulpatch/arch"
)

// ErrNoDynamic: a static image, without a dynamic section.
var ErrNoDynamic = errors.New("no dynamic section")

// dynamic is what the dynamic section points to; addresses are the process's.
type dynamic struct {
	symtab, strtab, gnuHash, hash, versym, verdef arch.Addr
	rela, jmprel                                  arch.Addr
	strSize, relaSize, jmprelSize, verdefCount    uint64
	debug                                         arch.Addr // struct r_debug
	flags1                                        uint64
	soname                                        string
	needed                                        []string
}

const maxStrings = 64 << 20

// dynamicSection reads the dynamic section once.
func (m *Module) dynamicSection() (*dynamic, error) {
	if m.dyn != nil {
		return m.dyn, nil
	}
	prog, ok := m.Prog(elf.PT_DYNAMIC)
	if !ok {
		return nil, fmt.Errorf("%s: %w", m.Path, ErrNoDynamic)
	}
	if prog.Memsz > maxNotes {
		return nil, fmt.Errorf("%s: dynamic section of %d bytes", m.Path, prog.Memsz)
	}
	data := make([]byte, prog.Memsz)
	if err := m.mem.Read(m.Addr(prog.Vaddr), data); err != nil {
		return nil, err
	}
	d := &dynamic{}
	var needed []uint64
	var soname uint64
	for ; len(data) >= 16; data = data[16:] {
		tag := elf.DynTag(binary.LittleEndian.Uint64(data))
		value := binary.LittleEndian.Uint64(data[8:])
		if tag == elf.DT_NULL {
			break
		}
		switch tag {
		case elf.DT_SYMTAB:
			d.symtab = m.pointer(value)
		case elf.DT_STRTAB:
			d.strtab = m.pointer(value)
		case elf.DT_STRSZ:
			d.strSize = value
		case elf.DT_GNU_HASH:
			d.gnuHash = m.pointer(value)
		case elf.DT_HASH:
			d.hash = m.pointer(value)
		case elf.DT_VERSYM:
			d.versym = m.pointer(value)
		case elf.DT_VERDEF:
			d.verdef = m.pointer(value)
		case elf.DT_VERDEFNUM:
			d.verdefCount = value
		case elf.DT_RELA:
			d.rela = m.pointer(value)
		case elf.DT_RELASZ:
			d.relaSize = value
		case elf.DT_JMPREL:
			d.jmprel = m.pointer(value)
		case elf.DT_PLTRELSZ:
			d.jmprelSize = value
		case elf.DT_DEBUG:
			d.debug = arch.Addr(value)
		case elf.DT_FLAGS_1:
			d.flags1 = value
		case elf.DT_SONAME:
			soname = value
		case elf.DT_NEEDED:
			needed = append(needed, value)
		}
	}
	for _, n := range needed {
		name, err := m.stringIn(d, n)
		if err != nil {
			return nil, err
		}
		d.needed = append(d.needed, name)
	}
	if soname != 0 {
		name, err := m.stringIn(d, soname)
		if err != nil {
			return nil, err
		}
		d.soname = name
	}
	m.dyn = d
	return d, nil
}

// pointer is an address of the dynamic section, which some dynamic linkers
// (glibc's) relocate in place and others leave as the file has them.
func (m *Module) pointer(value uint64) arch.Addr {
	if m.Contains(arch.Addr(value)) {
		return arch.Addr(value)
	}
	return m.Addr(value)
}

func (m *Module) stringIn(d *dynamic, off uint64) (string, error) {
	if off >= d.strSize || d.strSize > maxStrings {
		return "", fmt.Errorf("%s: dynamic string %#x is outside its table", m.Path, off)
	}
	const first, most = 64, 4096 // nearly all are short
	for size := uint64(first); ; size = most {
		buf := make([]byte, min(d.strSize-off, size))
		if err := m.mem.Read(d.strtab+arch.Addr(off), buf); err != nil {
			return "", err
		}
		if end := bytes.IndexByte(buf, 0); end >= 0 {
			return string(buf[:end]), nil
		}
		if size == most || uint64(len(buf)) < size {
			return "", fmt.Errorf("%s: dynamic string %#x does not end", m.Path, off)
		}
	}
}

// isString tells whether a dynamic string is s, and reads no more than that.
func (m *Module) isString(d *dynamic, off uint64, s string) bool {
	size := uint64(len(s)) + 1
	if off >= d.strSize || size > d.strSize-off {
		return false
	}
	buf := make([]byte, size)
	return m.mem.Read(d.strtab+arch.Addr(off), buf) == nil && string(buf) == s+"\x00"
}

// Soname is the name that other modules need it by: DT_SONAME, or else the
// file's name.
func (m *Module) Soname() string {
	if d, err := m.dynamicSection(); err == nil && d.soname != "" {
		return d.soname
	}
	return m.Name()
}

// Needed lists DT_NEEDED.
func (m *Module) Needed() []string {
	d, err := m.dynamicSection()
	if err != nil {
		return nil
	}
	return d.needed
}

// Symbol is a definition in a module's dynamic symbol table.
type Symbol struct {
	Module *Module
	Value  uint64 // link-time address, or the offset in the TLS block
	Size   uint64
	Type   elf.SymType
	Bind   elf.SymBind
}

// Addr is the symbol's address in the process; not for STT_TLS.
func (s Symbol) Addr() arch.Addr { return s.Module.Addr(s.Value) }

// sttGNUIfunc is STT_GNU_IFUNC: the value is a resolver's address.
const sttGNUIfunc = elf.SymType(10)

// IsIfunc tells whether the value is the address of a resolver.
func (s Symbol) IsIfunc() bool { return s.Type == sttGNUIfunc }

// Lookup finds the definition of a symbol by the rules of the dynamic linker:
// of the given version, or, with version "", the default one. ok is false where
// the module does not define it.
func (m *Module) Lookup(name, version string) (sym Symbol, ok bool, err error) {
	d, err := m.dynamicSection()
	if errors.Is(err, ErrNoDynamic) {
		return Symbol{}, false, nil
	}
	if err != nil {
		return Symbol{}, false, err
	}
	candidates, err := m.candidates(d, name)
	if err != nil {
		return Symbol{}, false, fmt.Errorf("%s: symbol %s: %w", m.Path, name, err)
	}
	for _, index := range candidates {
		raw, err := m.rawSymbol(d, index)
		if err != nil {
			return Symbol{}, false, err
		}
		if elf.SectionIndex(raw.Shndx) == elf.SHN_UNDEF || elf.ST_BIND(raw.Info) == elf.STB_LOCAL {
			continue
		}
		if !m.isString(d, uint64(raw.Name), name) {
			continue
		}
		match, err := m.versionMatches(d, index, version)
		if err != nil {
			return Symbol{}, false, err
		}
		if match {
			return Symbol{m, raw.Value, raw.Size, elf.ST_TYPE(raw.Info), elf.ST_BIND(raw.Info)}, true, nil
		}
	}
	return Symbol{}, false, nil
}

const symSize = 24 // of Elf64_Sym

func (m *Module) rawSymbol(d *dynamic, index uint32) (elf.Sym64, error) {
	var buf [symSize]byte
	if err := m.mem.Read(d.symtab+arch.Addr(index)*symSize, buf[:]); err != nil {
		return elf.Sym64{}, err
	}
	le := binary.LittleEndian
	return elf.Sym64{
		Name: le.Uint32(buf[0:]), Info: buf[4], Other: buf[5], Shndx: le.Uint16(buf[6:]),
		Value: le.Uint64(buf[8:]), Size: le.Uint64(buf[16:]),
	}, nil
}

func (m *Module) words(addr arch.Addr, n int) ([]uint32, error) {
	buf := make([]byte, 4*n)
	if err := m.mem.Read(addr, buf); err != nil {
		return nil, err
	}
	words := make([]uint32, n)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(buf[4*i:])
	}
	return words, nil
}

const maxChain = 1 << 20

// candidates are the indexes of symbols in the name's hash bucket.
func (m *Module) candidates(d *dynamic, name string) ([]uint32, error) {
	switch {
	case d.gnuHash != 0:
		return m.gnuBucket(d, name)
	case d.hash != 0:
		return m.sysvBucket(d, name)
	}
	return nil, nil
}

// gnuBucket walks DT_GNU_HASH.
func (m *Module) gnuBucket(d *dynamic, name string) ([]uint32, error) {
	h := uint32(5381)
	for i := range len(name) {
		h = h*33 + uint32(name[i])
	}
	head, err := m.words(d.gnuHash, 4)
	if err != nil || head[0] == 0 {
		return nil, err
	}
	buckets := d.gnuHash + 16 + arch.Addr(head[2])*8
	first, err := m.words(buckets+arch.Addr(h%head[0])*4, 1)
	if err != nil || first[0] == 0 || first[0] < head[1] {
		return nil, err
	}
	chain := buckets + arch.Addr(head[0])*4
	var found []uint32
	const some = 16 // chains are short; reading past the end of one does no harm
	for index := first[0]; index-first[0] < maxChain; {
		at := chain + arch.Addr(index-head[1])*4
		list, err := m.words(at, some)
		if err != nil {
			list, err = m.words(at, 1)
		}
		if err != nil {
			return nil, err
		}
		for _, word := range list {
			if word|1 == h|1 {
				found = append(found, index)
			}
			if word&1 != 0 {
				return found, nil
			}
			index++
		}
	}
	return nil, errors.New("hash chain does not end")
}

// sysvBucket walks DT_HASH.
func (m *Module) sysvBucket(d *dynamic, name string) ([]uint32, error) {
	var h uint32
	for i := range len(name) {
		h = h<<4 + uint32(name[i])
		g := h & 0xf0000000
		h = (h ^ g>>24) &^ g
	}
	head, err := m.words(d.hash, 2)
	if err != nil || head[0] == 0 {
		return nil, err
	}
	index, err := m.words(d.hash+8+arch.Addr(h%head[0])*4, 1)
	if err != nil {
		return nil, err
	}
	var found []uint32
	for at := index[0]; at != 0; {
		if at >= head[1] || len(found) > maxChain {
			return nil, errors.New("hash chain is malformed")
		}
		found = append(found, at)
		next, err := m.words(d.hash+8+arch.Addr(head[0])*4+arch.Addr(at)*4, 1)
		if err != nil {
			return nil, err
		}
		at = next[0]
	}
	return found, nil
}

// versionMatches applies the gABI's rules of symbol versioning ("Symbol
// Versioning", Linux Standard Base).
func (m *Module) versionMatches(d *dynamic, index uint32, version string) (bool, error) {
	if d.versym == 0 {
		return true, nil
	}
	var buf [2]byte
	if err := m.mem.Read(d.versym+arch.Addr(index)*2, buf[:]); err != nil {
		return false, err
	}
	const hidden, global = 0x8000, 1
	v := binary.LittleEndian.Uint16(buf[:])
	if version == "" {
		return v&hidden == 0, nil
	}
	if v&^hidden <= global {
		return v == global, nil // without a version: it serves any
	}
	name, err := m.versionName(d, v&^hidden)
	return name == version, err
}

func (m *Module) versionName(d *dynamic, index uint16) (string, error) {
	at := d.verdef
	for range d.verdefCount {
		var def [20]byte
		if err := m.mem.Read(at, def[:]); err != nil {
			return "", err
		}
		le := binary.LittleEndian
		if le.Uint16(def[4:]) == index {
			var aux [4]byte
			if err := m.mem.Read(at+arch.Addr(le.Uint32(def[12:])), aux[:]); err != nil {
				return "", err
			}
			return m.stringIn(d, uint64(le.Uint32(aux[:])))
		}
		next := le.Uint32(def[16:])
		if next == 0 {
			break
		}
		at += arch.Addr(next)
	}
	return "", nil
}

// Slot is a word of a module that the dynamic linker fills.
type Slot struct {
	Addr   arch.Addr // in the process
	Type   uint32    // relocation type
	Symbol uint32    // index in the dynamic symbol table, 0 for none
	Addend int64
}

const (
	relaSize = 24 // of Elf64_Rela
	maxRelas = 16 << 20
)

// Slots lists the module's dynamic relocations of the given types.
func (m *Module) Slots(types ...uint32) ([]Slot, error) {
	d, err := m.dynamicSection()
	if err != nil {
		return nil, err
	}
	var slots []Slot
	for _, table := range []struct {
		at   arch.Addr
		size uint64
	}{{d.rela, d.relaSize}, {d.jmprel, d.jmprelSize}} {
		if table.at == 0 || table.size == 0 {
			continue
		}
		if table.size > maxRelas*relaSize {
			return nil, fmt.Errorf("%s: relocations of %d bytes", m.Path, table.size)
		}
		data := make([]byte, table.size/relaSize*relaSize)
		if err := m.mem.Read(table.at, data); err != nil {
			return nil, err
		}
		le := binary.LittleEndian
		for ; len(data) > 0; data = data[relaSize:] {
			info := le.Uint64(data[8:])
			for _, typ := range types {
				if elf.R_TYPE64(info) == typ {
					slots = append(slots, Slot{
						m.Addr(le.Uint64(data)), typ, elf.R_SYM64(info), int64(le.Uint64(data[16:])),
					})
				}
			}
		}
	}
	return slots, nil
}

// SlotTLS tells which byte of the module's own TLS block a TLS slot is for. ok
// is false where it is for another module's variable. Where preempt is not "",
// it is so only if no module earlier in the scope defines a variable of that
// name.
func (m *Module) SlotTLS(s Slot) (off uint64, preempt string, ok bool, err error) {
	if s.Symbol == 0 {
		return uint64(s.Addend), "", true, nil
	}
	d, err := m.dynamicSection()
	if err != nil {
		return 0, "", false, err
	}
	raw, err := m.rawSymbol(d, s.Symbol)
	if err != nil || elf.SectionIndex(raw.Shndx) == elf.SHN_UNDEF {
		return 0, "", false, err
	}
	const protected = 3
	if elf.ST_BIND(raw.Info) != elf.STB_LOCAL && raw.Other&3 != protected {
		if preempt, err = m.stringIn(d, uint64(raw.Name)); err != nil {
			return 0, "", false, err
		}
	}
	return raw.Value + uint64(s.Addend), preempt, true, nil
}
