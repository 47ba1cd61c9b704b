// SPDX-License-Identifier: GPL-2.0-or-later

package payload

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ulpatch/ulpatch/format"
)

// Sizes of ELF64's structures, in bytes.
const (
	ehdrSize = 64
	shdrSize = 64
	symSize  = 24
	relaSize = 24
	wordSize = 8 // alignment of tables
)

// Encode writes f as an ELF file, in the one form that Decode reads. Local
// symbols go before the others, as ELF wants; apart from that the order is
// kept. The result depends on f alone.
func Encode(f *File) ([]byte, error) {
	f = localsFirst(f)
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	data, err := encode(f)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	if len(data) > MaxFileSize {
		return nil, fmt.Errorf("payload: %d bytes, more than %d", len(data), MaxFileSize)
	}
	return data, nil
}

// localsFirst returns f with its symbols in ELF's order, or f itself where they
// are so already or where an index makes no sense (check will tell).
func localsFirst(f *File) *File {
	isGlobal := func(s Symbol) int {
		if s.Bind == elf.STB_LOCAL {
			return 0
		}
		return 1
	}
	byBind := func(a, b int) int { return isGlobal(f.Symbols[a]) - isGlobal(f.Symbols[b]) }
	order := make([]int, len(f.Symbols))
	for i := range order {
		order[i] = i
	}
	if slices.IsSortedFunc(order, byBind) {
		return f
	}
	slices.SortStableFunc(order, byBind)
	sorted := *f
	sorted.Symbols = make([]Symbol, len(order))
	moved := make([]int, len(order))
	for to, from := range order {
		sorted.Symbols[to] = f.Symbols[from]
		moved[from] = to
	}
	sorted.Sections = slices.Clone(f.Sections)
	for i := range sorted.Sections {
		relocs := slices.Clone(sorted.Sections[i].Relocs)
		for j, r := range relocs {
			if r.Symbol >= 0 && r.Symbol < len(moved) {
				relocs[j].Symbol = moved[r.Symbol]
			}
		}
		sorted.Sections[i].Relocs = relocs
	}
	return &sorted
}

// writer lays one section after the other, behind the ELF header.
type writer struct {
	out     bytes.Buffer
	headers []elf.Section64
	names   bytes.Buffer // .shstrtab
}

func newWriter() *writer {
	w := &writer{}
	w.out.Write(make([]byte, ehdrSize))
	w.names.WriteByte(0)
	w.headers = append(w.headers, elf.Section64{})
	return w
}

// add appends a section; h's name, offset and size are filled in.
func (w *writer) add(name string, h elf.Section64, data []byte) {
	h.Name = uint32(w.names.Len())
	w.names.WriteString(name)
	w.names.WriteByte(0)
	w.align(h.Addralign)
	h.Off = uint64(w.out.Len())
	if elf.SectionType(h.Type) != elf.SHT_NOBITS {
		h.Size = uint64(len(data))
	}
	w.out.Write(data)
	w.headers = append(w.headers, h)
}

func (w *writer) align(to uint64) {
	if over := uint64(w.out.Len()) % to; over != 0 {
		w.out.Write(make([]byte, to-over))
	}
}

// encode writes f, which has been checked.
func encode(f *File) ([]byte, error) {
	table, err := format.EncodeTable(f.Table)
	if err != nil {
		return nil, err
	}
	w := newWriter()
	for _, s := range f.Sections {
		w.add(s.Name, elf.Section64{
			Type: uint32(s.Type), Flags: uint64(s.Flags), Size: s.Size, Addralign: s.Align,
		}, s.Data)
	}
	symtab := 1 + len(f.Sections) + countRelocated(f) + 1
	for i, s := range f.Sections {
		if len(s.Relocs) == 0 {
			continue
		}
		w.add(".rela"+s.Name, elf.Section64{
			Type: uint32(elf.SHT_RELA), Flags: uint64(elf.SHF_INFO_LINK),
			Link: uint32(symtab), Info: uint32(i + 1), Addralign: wordSize, Entsize: relaSize,
		}, relaTable(s.Relocs))
	}
	w.add(format.TableSection, elf.Section64{Type: uint32(elf.SHT_PROGBITS), Addralign: 1}, table)
	symbols, names := symbolTable(f.Symbols)
	w.add(".symtab", elf.Section64{
		Type: uint32(elf.SHT_SYMTAB), Link: uint32(symtab + 1), Info: uint32(1 + countLocal(f.Symbols)),
		Addralign: wordSize, Entsize: symSize,
	}, symbols)
	w.add(".strtab", elf.Section64{Type: uint32(elf.SHT_STRTAB), Addralign: 1}, names)
	w.finish(f.Machine)
	return w.out.Bytes(), nil
}

// finish adds .shstrtab, whose own name is in it, the section headers and the
// ELF header.
func (w *writer) finish(machine elf.Machine) {
	const own = ".shstrtab"
	all := append(slices.Clone(w.names.Bytes()), own+"\x00"...)
	w.add(own, elf.Section64{Type: uint32(elf.SHT_STRTAB), Addralign: 1}, all)
	w.align(wordSize)
	at := uint64(w.out.Len())
	put(&w.out, w.headers)

	header := elf.Header64{
		Type: uint16(elf.ET_REL), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Shoff: at, Ehsize: ehdrSize, Shentsize: shdrSize,
		Shnum: uint16(len(w.headers)), Shstrndx: uint16(len(w.headers) - 1),
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS] = byte(elf.ELFCLASS64)
	header.Ident[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	header.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	var head bytes.Buffer
	put(&head, header)
	copy(w.out.Bytes(), head.Bytes())
}

func relaTable(relocs []Reloc) []byte {
	var out bytes.Buffer
	for _, r := range relocs {
		put(&out, elf.Rela64{Off: r.Off, Info: uint64(r.Symbol+1)<<32 | uint64(r.Type), Addend: r.Addend})
	}
	return out.Bytes()
}

// symbolTable returns .symtab and .strtab. Names stand in the order of the
// symbols and are not shared, so that reading them back is linear.
func symbolTable(symbols []Symbol) (table, names []byte) {
	var out, strings bytes.Buffer
	put(&out, elf.Sym64{})
	strings.WriteByte(0)
	for _, s := range symbols {
		sym := elf.Sym64{
			Info: byte(s.Bind)<<4 | byte(s.Type), Shndx: uint16(s.Section + 1), Value: s.Value, Size: s.Size,
		}
		if s.Name != "" {
			sym.Name = uint32(strings.Len())
			strings.WriteString(s.Name)
			strings.WriteByte(0)
		}
		put(&out, sym)
	}
	return out.Bytes(), strings.Bytes()
}

func countRelocated(f *File) (n int) {
	for _, s := range f.Sections {
		if len(s.Relocs) > 0 {
			n++
		}
	}
	return n
}

func countLocal(symbols []Symbol) (n int) {
	for _, s := range symbols {
		if s.Bind == elf.STB_LOCAL {
			n++
		}
	}
	return n
}

// put writes a structure of fixed size, little-endian.
func put(out *bytes.Buffer, v any) {
	if err := binary.Write(out, binary.LittleEndian, v); err != nil {
		panic(err) // v is one of our own structures, and a Buffer takes all
	}
}
