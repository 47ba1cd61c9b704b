// SPDX-License-Identifier: GPL-2.0-or-later

// Package payload writes and reads payloads: ELF64 ET_REL files, one for each
// image that a bundle fixes, that readelf, objdump and gdb can read. It knows
// the shape of the file and its table, not how it was made nor where it will be
// loaded.
package payload

import (
	"debug/elf"
	"fmt"
	"slices"

	"github.com/ulpatch/ulpatch/format"
)

// File is a payload in memory. Indexes are into its own slices; section
// headers, string tables and the null entries of ELF are left to Encode.
type File struct {
	Machine  elf.Machine
	Sections []Section
	Symbols  []Symbol
	Table    format.Table
}

// Section is code or data to be loaded (SHF_ALLOC), or a section that only
// tools read.
type Section struct {
	Name  string
	Type  elf.SectionType // SHT_PROGBITS, SHT_NOBITS
	Flags elf.SectionFlag
	Align uint64 // bytes, a power of two, at least 1
	Size  uint64 // bytes; len(Data) unless SHT_NOBITS
	Data  []byte // nil for SHT_NOBITS

	Relocs []Reloc // by Off, ascending
}

// Symbol is defined in a section, or undefined and then an import.
type Symbol struct {
	Name    string
	Section int    // index in File.Sections, or Undefined
	Value   uint64 // offset in the section, in bytes
	Size    uint64 // bytes
	Type    elf.SymType
	Bind    elf.SymBind
}

// Undefined is the Section of a symbol that the payload does not define.
const Undefined = -1

// NoSymbol is the Symbol of a relocation that names none: S is 0. Markers like
// R_RISCV_RELAX have none.
const NoSymbol = -1

// Reloc is a RELA entry.
type Reloc struct {
	Off    uint64 // bytes from the start of the section
	Type   uint32
	Symbol int // index in File.Symbols, or NoSymbol
	Addend int64
}

// FromBundle reads the payload of b.Manifest.Payloads[i] and wants that it
// belongs to the image that the manifest names, and that the manifest says that
// the bundle has hooks if it has some.
func FromBundle(b *format.Bundle, i int) (*File, error) {
	return fromManifest(b.Manifest, i, func() ([]byte, error) { return b.Payload(i) })
}

// FromUnverified is FromBundle for a bundle that nobody vouches for: to be
// shown, never to be applied.
func FromUnverified(u *format.Unverified, i int) (*File, error) {
	return fromManifest(u.Manifest, i, func() ([]byte, error) { return u.Payload(i) })
}

func fromManifest(m format.Manifest, i int, read func() ([]byte, error)) (*File, error) {
	image := m.Payloads[i].Image
	data, err := read()
	if err != nil {
		return nil, err
	}
	f, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", image.Name, err)
	}
	if f.Table.Image != image {
		return nil, fmt.Errorf("%s: %w: its table is that of %s, build-id %s", image.Name, format.ErrBody, f.Table.Image.Name, f.Table.Image.BuildID)
	}
	if len(f.Table.Hooks) > 0 && !slices.Contains(m.Critical, format.FeatureHooks) {
		return nil, fmt.Errorf("%s: %w: it has hooks, and its manifest does not say so", image.Name, format.ErrBody)
	}
	return f, nil
}
