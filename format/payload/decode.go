// SPDX-License-Identifier: GPL-2.0-or-later

package payload

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ulpatch/ulpatch/format"
)

// Decode reads what Encode writes and nothing else; any other file is refused
// with an error that wraps format.ErrBody. The result shares the memory of data.
func Decode(data []byte) (*File, error) {
	if len(data) > MaxFileSize {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", format.ErrBody, len(data), MaxFileSize)
	}
	f, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", format.ErrBody, err)
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", format.ErrBody, err)
	}
	again, err := encode(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", format.ErrBody, err)
	}
	if !bytes.Equal(again, data) {
		return nil, fmt.Errorf("%w: elf: %w", format.ErrBody, format.ErrCanonical)
	}
	return f, nil
}

// reader finds sections in an ELF file. It checks what it needs to walk it
// safely; whether the file is canonical is seen when it is written again.
type reader struct {
	data    []byte
	headers []elf.Section64
	names   []byte
	relas   int // bytes of relocations read, to bound sections that overlap
}

func decode(data []byte) (*File, error) {
	r := &reader{data: data}
	machine, err := r.open()
	if err != nil {
		return nil, err
	}
	f := &File{Machine: machine}
	n := len(r.headers)
	if err := r.loadable(f); err != nil {
		return nil, err
	}
	for i := 1 + len(f.Sections); i < n-4; i++ {
		if err := r.relocs(f, i); err != nil {
			return nil, fmt.Errorf("section header %d: %w", i, err)
		}
	}
	table, err := r.bytes(n-4, elf.SHT_PROGBITS)
	if err != nil {
		return nil, err
	}
	if f.Table, err = format.DecodeTable(table); err != nil {
		return nil, err
	}
	f.Symbols, err = r.symbols(n-3, n-2)
	return f, err
}

// open reads the ELF header, the section headers and .shstrtab.
func (r *reader) open() (elf.Machine, error) {
	var h elf.Header64
	if err := get(r.data, 0, &h); err != nil {
		return 0, fmt.Errorf("elf header: %w", err)
	}
	if string(h.Ident[:elf.EI_CLASS]) != elf.ELFMAG || elf.Type(h.Type) != elf.ET_REL {
		return 0, errors.New("not a relocatable ELF file")
	}
	// The null section, the four tables at the end, and as many relocation
	// sections as others.
	if h.Shnum < 5 || int(h.Shnum) > 5+2*MaxSections {
		return 0, fmt.Errorf("%d section headers", h.Shnum)
	}
	r.headers = make([]elf.Section64, h.Shnum)
	if err := get(r.data, h.Shoff, r.headers); err != nil {
		return 0, fmt.Errorf("section headers: %w", err)
	}
	var err error
	r.names, err = r.bytes(len(r.headers)-1, elf.SHT_STRTAB)
	return elf.Machine(h.Machine), err
}

// loadable reads the sections up to the first relocation section, or up to the
// table.
func (r *reader) loadable(f *File) error {
	next := uint32(1) // names stand one after the other
	for i := 1; i < len(r.headers)-4; i++ {
		h := r.headers[i]
		s := Section{Type: elf.SectionType(h.Type), Flags: elf.SectionFlag(h.Flags), Align: h.Addralign, Size: h.Size}
		if s.Type == elf.SHT_RELA {
			return nil
		}
		var err error
		if h.Name != next {
			return fmt.Errorf("section header %d: name at %#x, expected at %#x", i, h.Name, next)
		}
		if s.Name, err = cstring(r.names, h.Name); err != nil {
			return fmt.Errorf("section header %d: name: %w", i, err)
		}
		next += uint32(len(s.Name)) + 1
		if s.Type != elf.SHT_NOBITS {
			if s.Data, err = r.bytes(i, s.Type); err != nil {
				return err
			}
		}
		f.Sections = append(f.Sections, s)
	}
	return nil
}

func (r *reader) relocs(f *File, i int) error {
	target := int(r.headers[i].Info) - 1
	if target < 0 || target >= len(f.Sections) || f.Sections[target].Relocs != nil {
		return fmt.Errorf("relocations for section %d", target)
	}
	data, err := r.bytes(i, elf.SHT_RELA)
	if err != nil {
		return err
	}
	r.relas += len(data)
	if len(data) == 0 || len(data)%relaSize != 0 || r.relas > len(r.data) {
		return fmt.Errorf("%d bytes of relocations", len(data))
	}
	relocs := make([]Reloc, len(data)/relaSize)
	for j := range relocs {
		entry := data[j*relaSize:]
		info := binary.LittleEndian.Uint64(entry[8:])
		relocs[j] = Reloc{
			Off:    binary.LittleEndian.Uint64(entry),
			Type:   uint32(info),
			Symbol: int(info>>32) - 1,
			Addend: int64(binary.LittleEndian.Uint64(entry[16:])),
		}
	}
	f.Sections[target].Relocs = relocs
	return nil
}

func (r *reader) symbols(symtab, strtab int) ([]Symbol, error) {
	data, err := r.bytes(symtab, elf.SHT_SYMTAB)
	if err != nil {
		return nil, err
	}
	names, err := r.bytes(strtab, elf.SHT_STRTAB)
	if err != nil {
		return nil, err
	}
	if len(data) < symSize || len(data)%symSize != 0 || len(data)/symSize-1 > MaxSymbols {
		return nil, fmt.Errorf("%d bytes of symbols", len(data))
	}
	symbols := make([]Symbol, len(data)/symSize-1)
	next := uint32(1) // names stand one after the other
	for i := range symbols {
		var sym elf.Sym64
		if err := get(data, uint64(i+1)*symSize, &sym); err != nil {
			return nil, err
		}
		s := Symbol{
			Section: int(sym.Shndx) - 1, Value: sym.Value, Size: sym.Size,
			Type: elf.SymType(sym.Info & 0xf), Bind: elf.SymBind(sym.Info >> 4),
		}
		if sym.Name != 0 {
			if sym.Name != next {
				return nil, fmt.Errorf("symbol %d: name at %#x, expected at %#x", i, sym.Name, next)
			}
			if s.Name, err = cstring(names, sym.Name); err != nil {
				return nil, fmt.Errorf("symbol %d: name: %w", i, err)
			}
			next += uint32(len(s.Name)) + 1
		}
		symbols[i] = s
	}
	return symbols, nil
}

// bytes is the content of the section with header i, which must be of type typ.
func (r *reader) bytes(i int, typ elf.SectionType) ([]byte, error) {
	h := r.headers[i]
	if elf.SectionType(h.Type) != typ {
		return nil, fmt.Errorf("section header %d: type %v, expected %v", i, elf.SectionType(h.Type), typ)
	}
	if h.Off > uint64(len(r.data)) || h.Size > uint64(len(r.data))-h.Off {
		return nil, fmt.Errorf("section header %d: %d bytes at %#x are outside of the file", i, h.Size, h.Off)
	}
	return r.data[h.Off : h.Off+h.Size : h.Off+h.Size], nil
}

func cstring(table []byte, at uint32) (string, error) {
	if uint64(at) >= uint64(len(table)) {
		return "", errors.New("outside of the string table")
	}
	end := bytes.IndexByte(table[at:], 0)
	if end < 0 {
		return "", errors.New("not terminated")
	}
	if end > format.MaxName {
		return "", fmt.Errorf("%d bytes, more than %d", end, format.MaxName)
	}
	return string(table[at : int(at)+end]), nil
}

// get reads a structure of fixed size at an offset of data.
func get(data []byte, at uint64, v any) error {
	if size := uint64(binary.Size(v)); at > uint64(len(data)) || size > uint64(len(data))-at {
		return errors.New("cut short")
	}
	if _, err := binary.Decode(data[at:], binary.LittleEndian, v); err != nil {
		panic(err) // the size was checked
	}
	return nil
}
