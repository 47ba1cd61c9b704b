// SPDX-License-Identifier: GPL-2.0-or-later

package payload

import (
	"debug/elf"
	"errors"
	"fmt"
	"math/bits"

	"github.com/ulpatch/ulpatch/format"
)

// Limits of a payload.
const (
	MaxFileSize = format.MaxPayloadSize // bytes of the ELF file
	MaxLoadSize = 64 << 20              // bytes of all sections, NOBITS too, each with room for its alignment
	MaxAlign    = 64 << 10              // bytes: the largest page of any supported CPU
	MaxSections = 16 << 10
	MaxSymbols  = 1 << 20
)

// allowedFlags is what a section may have. There is no thread-local data, and
// nothing to be merged: the builder's closure has settled both.
const allowedFlags = elf.SHF_ALLOC | elf.SHF_WRITE | elf.SHF_EXECINSTR

// machines names the CPUs as arch.Arch.Name does.
var machines = map[elf.Machine]string{
	elf.EM_X86_64:    "amd64",
	elf.EM_AARCH64:   "arm64",
	elf.EM_RISCV:     "riscv64",
	elf.EM_LOONGARCH: "loong64",
}

// check tells what is wrong with f, its symbols being in ELF's order.
func (f *File) check() error {
	if name, ok := machines[f.Machine]; !ok {
		return fmt.Errorf("machine %v is not supported", f.Machine)
	} else if f.Table.Image.Machine != name {
		return fmt.Errorf("machine %s, but its table says %q", name, f.Table.Image.Machine)
	}
	if len(f.Sections) > MaxSections {
		return fmt.Errorf("%d sections, more than %d", len(f.Sections), MaxSections)
	}
	if len(f.Symbols) > MaxSymbols {
		return fmt.Errorf("%d symbols, more than %d", len(f.Symbols), MaxSymbols)
	}
	var load uint64
	for i := range f.Sections {
		s := &f.Sections[i]
		if err := s.check(len(f.Symbols)); err != nil {
			return fmt.Errorf("section %d %q: %w", i, s.Name, err)
		}
		load += s.Size + s.Align - 1
		if load > MaxLoadSize {
			return fmt.Errorf("section %d %q: more than %d bytes to load", i, s.Name, MaxLoadSize)
		}
	}
	for i, s := range f.Symbols {
		if err := f.checkSymbol(s); err != nil {
			return fmt.Errorf("symbol %d %q: %w", i, s.Name, err)
		}
	}
	return f.checkNames()
}

func (s *Section) check(symbols int) error {
	if err := checkName(s.Name); err != nil {
		return err
	}
	switch s.Name {
	case format.TableSection, ".symtab", ".strtab", ".shstrtab":
		return errors.New("the name is reserved")
	}
	if bits.OnesCount64(s.Align) != 1 || s.Align > MaxAlign {
		return fmt.Errorf("alignment %d: not a power of two up to %d", s.Align, MaxAlign)
	}
	if s.Flags&^allowedFlags != 0 {
		return fmt.Errorf("flags %v are not allowed", s.Flags&^allowedFlags)
	}
	if s.Flags&elf.SHF_ALLOC == 0 && s.Flags != 0 {
		return fmt.Errorf("flags %v without SHF_ALLOC", s.Flags)
	}
	if s.Flags&elf.SHF_WRITE != 0 && s.Flags&elf.SHF_EXECINSTR != 0 {
		return errors.New("writable and executable")
	}
	switch s.Type {
	case elf.SHT_PROGBITS:
		if uint64(len(s.Data)) != s.Size {
			return fmt.Errorf("size %d, but %d bytes of data", s.Size, len(s.Data))
		}
	case elf.SHT_NOBITS:
		if s.Data != nil || len(s.Relocs) > 0 {
			return errors.New("SHT_NOBITS with data or relocations")
		}
		if s.Flags&elf.SHF_ALLOC == 0 || s.Flags&elf.SHF_EXECINSTR != 0 {
			return errors.New("SHT_NOBITS that is not data")
		}
	default:
		return fmt.Errorf("type %v is not allowed", s.Type)
	}
	if s.Size > MaxLoadSize {
		return fmt.Errorf("%d bytes, more than %d", s.Size, MaxLoadSize)
	}
	return s.checkRelocs(symbols)
}

func (s *Section) checkRelocs(symbols int) error {
	for i, r := range s.Relocs {
		if r.Off >= s.Size {
			return fmt.Errorf("relocation %d: offset %#x is outside of the section", i, r.Off)
		}
		if i > 0 && r.Off < s.Relocs[i-1].Off {
			return fmt.Errorf("relocation %d: offset %#x: not in ascending order", i, r.Off)
		}
		if r.Symbol != NoSymbol && (r.Symbol < 0 || r.Symbol >= symbols) {
			return fmt.Errorf("relocation %d: no symbol %d", i, r.Symbol)
		}
	}
	return nil
}

func (f *File) checkSymbol(s Symbol) error {
	switch s.Bind {
	case elf.STB_LOCAL, elf.STB_GLOBAL, elf.STB_WEAK:
	default:
		return fmt.Errorf("bind %v is not allowed", s.Bind)
	}
	if s.Section == Undefined {
		return checkUndefined(s)
	}
	if s.Section < 0 || s.Section >= len(f.Sections) {
		return fmt.Errorf("no section %d", s.Section)
	}
	size := f.Sections[s.Section].Size
	if s.Value > size || s.Size > size-s.Value {
		return fmt.Errorf("%d bytes at %#x are outside of its section", s.Size, s.Value)
	}
	switch s.Type {
	case elf.STT_SECTION:
		if s.Bind != elf.STB_LOCAL || s.Name != "" || s.Value != 0 || s.Size != 0 {
			return errors.New("a section's symbol is local and has neither name, value nor size")
		}
		return nil
	case elf.STT_NOTYPE, elf.STT_OBJECT, elf.STT_FUNC:
		return checkName(s.Name)
	}
	return fmt.Errorf("type %v is not allowed", s.Type)
}

func checkUndefined(s Symbol) error {
	switch s.Type {
	case elf.STT_NOTYPE, elf.STT_OBJECT, elf.STT_FUNC, elf.STT_TLS:
	default:
		return fmt.Errorf("type %v is not allowed where it is undefined", s.Type)
	}
	if s.Bind == elf.STB_LOCAL || s.Value != 0 || s.Size != 0 {
		return errors.New("an undefined symbol is not local and has neither value nor size")
	}
	return checkName(s.Name)
}

// checkNames holds symbols against the table: a name that others may refer to
// is unique, each undefined symbol is an import and the other way round, and
// what takes over from a function is code.
func (f *File) checkNames() error {
	nonlocal := map[string]bool{}
	defined := map[string]int{}
	first := map[string]Symbol{}
	undefined := map[string]bool{}
	for _, s := range f.Symbols {
		if s.Bind != elf.STB_LOCAL {
			if nonlocal[s.Name] {
				return fmt.Errorf("symbol %q: defined or referred to twice", s.Name)
			}
			nonlocal[s.Name] = true
		}
		if s.Section == Undefined {
			undefined[s.Name] = true
		} else if s.Name != "" {
			if defined[s.Name]++; defined[s.Name] == 1 {
				first[s.Name] = s
			}
		}
	}
	for i, imp := range f.Table.Imports {
		if !undefined[imp.Symbol] {
			return fmt.Errorf("imports[%d]: symbol %q is not undefined, or is imported twice", i, imp.Symbol)
		}
		delete(undefined, imp.Symbol)
	}
	for _, s := range f.Symbols {
		if s.Section == Undefined && undefined[s.Name] {
			return fmt.Errorf("symbol %q: undefined and not imported", s.Name)
		}
	}
	for i, fn := range f.Table.Functions {
		if defined[fn.Symbol] != 1 {
			return fmt.Errorf("functions[%d]: symbol %q: defined %d times", i, fn.Symbol, defined[fn.Symbol])
		}
		s := first[fn.Symbol]
		in := f.Sections[s.Section]
		if in.Flags&elf.SHF_EXECINSTR == 0 || s.Type == elf.STT_OBJECT || s.Value == in.Size {
			return fmt.Errorf("functions[%d]: symbol %q: not code", i, fn.Symbol)
		}
	}
	for i, h := range f.Table.Hooks {
		if defined[h.Symbol] != 1 || defined[h.Progress] != 1 {
			return fmt.Errorf("hooks[%d]: symbol %q or %q is not defined, or more than once", i, h.Symbol, h.Progress)
		}
		s := first[h.Symbol]
		in := f.Sections[s.Section]
		if in.Flags&elf.SHF_EXECINSTR == 0 || s.Type == elf.STT_OBJECT || s.Value == in.Size {
			return fmt.Errorf("hooks[%d]: symbol %q: not code", i, h.Symbol)
		}
		if err := f.checkProgress(first[h.Progress]); err != nil {
			return fmt.Errorf("hooks[%d]: symbol %q: %w", i, h.Progress, err)
		}
	}
	return nil
}

// checkProgress wants a variable that a hook can keep its progress in.
func (f *File) checkProgress(s Symbol) error {
	in := f.Sections[s.Section]
	const aligned = 4
	switch {
	case in.Flags&elf.SHF_WRITE == 0 || s.Type == elf.STT_FUNC:
		return errors.New("not a variable")
	case s.Size < format.HookProgressSize:
		return fmt.Errorf("%d bytes, less than %d", s.Size, format.HookProgressSize)
	case s.Value%aligned != 0 || in.Align < aligned:
		return errors.New("not aligned")
	}
	return nil
}

func checkName(name string) error {
	if name == "" {
		return errors.New("no name")
	}
	return format.CheckText(name, format.MaxName)
}
