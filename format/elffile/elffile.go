// SPDX-License-Identifier: GPL-2.0-or-later

// Package elffile reads ELF files that nobody vouches for. It wraps debug/elf:
// panics become errors, and the memory that is taken is bounded by the size of
// the file. It knows the container, not what sections mean to a CPU.
package elffile

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ulpatch/ulpatch/arch"
)

// Limits of what is read. Beyond them a file is refused.
const (
	MaxHeaders      = 1 << 20 // section headers
	MaxUncompressed = 1 << 30 // bytes of a compressed section once it is decompressed
)

// File is an ELF64 file, little-endian. Its methods may be called by several
// goroutines. Use Data and ProgData, not the methods of Section and Prog, which
// trust the file.
type File struct {
	elf.FileHeader
	Sections []*elf.Section
	Progs    []*elf.Prog

	file   *elf.File
	r      io.ReaderAt
	size   int64
	closer io.Closer
}

// Open reads the headers of the file at path.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	var opened *File
	if err == nil {
		opened, err = New(f, info.Size())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	opened.closer = f
	return opened, nil
}

// New reads the headers of an ELF file of size bytes. r must stay readable as
// long as the File is used.
func New(r io.ReaderAt, size int64) (_ *File, err error) {
	defer recovered(&err)
	if err := checkIdent(r, size); err != nil {
		return nil, err
	}
	// debug/elf must not see more than size bytes, however long r is.
	bounded := io.NewSectionReader(r, 0, size)
	file, err := elf.NewFile(bounded)
	if err != nil {
		return nil, fmt.Errorf("elf: %w", err)
	}
	f := &File{FileHeader: file.FileHeader, Sections: file.Sections, Progs: file.Progs, file: file, r: bounded, size: size}
	for i, s := range f.Sections {
		if s.Type != elf.SHT_NOBITS && s.Type != elf.SHT_NULL && !f.holds(s.Offset, s.FileSize) {
			return nil, fmt.Errorf("elf: section %d %q: %d bytes at %#x are outside of the file", i, s.Name, s.FileSize, s.Offset)
		}
	}
	return f, nil
}

// checkIdent looks at what debug/elf takes memory for before it reads it.
func checkIdent(r io.ReaderAt, size int64) error {
	var head [64]byte
	if size < int64(len(head)) {
		return errors.New("elf: shorter than its header")
	}
	if _, err := r.ReadAt(head[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(head[:4]) != elf.ELFMAG {
		return errors.New("elf: not an ELF file")
	}
	if elf.Class(head[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(head[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return errors.New("elf: not 64-bit, little-endian")
	}
	return checkCount(r, head[:], size)
}

// Close closes the file if Open opened it.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

func (f *File) holds(offset, size uint64) bool {
	return offset <= uint64(f.size) && size <= uint64(f.size)-offset
}

// Section returns the only section of that name.
func (f *File) Section(name string) (*elf.Section, bool) {
	var found *elf.Section
	for _, s := range f.Sections {
		if s.Name == name {
			if found != nil {
				return nil, false
			}
			found = s
		}
	}
	return found, found != nil
}

// Data is the content of a section, decompressed where it is compressed. A
// section without content in the file is an error.
func (f *File) Data(s *elf.Section) (_ []byte, err error) {
	defer recovered(&err)
	if s.Type == elf.SHT_NOBITS || s.Type == elf.SHT_NULL {
		return nil, fmt.Errorf("elf: section %q has no content", s.Name)
	}
	if s.Flags&elf.SHF_COMPRESSED != 0 && s.Size > MaxUncompressed {
		return nil, fmt.Errorf("elf: section %q: %d bytes, more than %d", s.Name, s.Size, MaxUncompressed)
	}
	data, err := s.Data()
	if err != nil {
		return nil, fmt.Errorf("elf: section %q: %w", s.Name, err)
	}
	return data, nil
}

// ProgData is the content of a segment as it stands in the file (p_filesz
// bytes).
func (f *File) ProgData(p *elf.Prog) ([]byte, error) {
	if !f.holds(p.Off, p.Filesz) {
		return nil, fmt.Errorf("elf: segment %v: %d bytes at %#x are outside of the file", p.Type, p.Filesz, p.Off)
	}
	return f.read(p.Off, p.Filesz)
}

// Bytes is the content of size bytes at a link-time address: of one PT_LOAD
// segment, and in the file.
func (f *File) Bytes(addr arch.Addr, size uint64) ([]byte, error) {
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD || uint64(addr) < p.Vaddr || uint64(addr)-p.Vaddr >= p.Filesz {
			continue
		}
		skip := uint64(addr) - p.Vaddr
		if size > p.Filesz-skip || !f.holds(p.Off, p.Filesz) {
			return nil, fmt.Errorf("elf: %d bytes at address %#x go beyond what the file has", size, uint64(addr))
		}
		return f.read(p.Off+skip, size)
	}
	return nil, fmt.Errorf("elf: address %#x is in no segment of the file", uint64(addr))
}

// read is bounded: the caller has seen that the file holds the bytes.
func (f *File) read(offset, size uint64) ([]byte, error) {
	data := make([]byte, size)
	if n, err := f.r.ReadAt(data, int64(offset)); uint64(n) != size {
		return nil, fmt.Errorf("elf: %w", err)
	}
	return data, nil
}

// Symbols is .symtab without its null entry: element i is symbol i+1 of the
// file. It is empty where there is none.
func (f *File) Symbols() (_ []elf.Symbol, err error) {
	defer recovered(&err)
	return symbols(f.file.Symbols())
}

// DynamicSymbols is .dynsym without its null entry, with versions.
func (f *File) DynamicSymbols() (_ []elf.Symbol, err error) {
	defer recovered(&err)
	return symbols(f.file.DynamicSymbols())
}

func symbols(s []elf.Symbol, err error) ([]elf.Symbol, error) {
	if errors.Is(err, elf.ErrNoSymbols) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("elf: %w", err)
	}
	return s, nil
}

// DynValue is the values that the dynamic section has for a tag.
func (f *File) DynValue(tag elf.DynTag) (_ []uint64, err error) {
	defer recovered(&err)
	return f.file.DynValue(tag)
}

// DynString is the strings that the dynamic section has for a tag.
func (f *File) DynString(tag elf.DynTag) (_ []string, err error) {
	defer recovered(&err)
	return f.file.DynString(tag)
}

// recovered turns a panic in debug/elf, for which the file is to blame, into an
// error.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("elf: malformed: %v", r)
	}
}
