// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sort"
	"strings"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/arch/all"
	"github.com/ulpatch/ulpatch/format/elffile"
)

// image is a linked file: what it loads where, its symbols and what its dynamic
// linker does to it.
type image struct {
	name    string // file name without its directory
	path    string
	buildID string
	arch    *arch.Arch
	typ     elf.Type
	interp  bool // an executable that a dynamic linker loads, or a shared library
	loads   []load
	tls     *elf.ProgHeader

	symbols []imageSymbol            // by address
	named   map[string][]imageSymbol // in the order of the file
	blocks  []block                  // local symbols by their STT_FILE
	hasFile bool

	compilers []string          // as .comment names them
	debug     *io.SectionReader // the file that may have debug information

	dyn       dynamic
	libraries *libraries // once they were needed
}

type load struct {
	elf.ProgHeader
	r io.ReaderAt
}

type imageSymbol struct {
	name  string
	addr  arch.Addr
	size  uint64
	typ   elf.SymType
	bind  elf.SymBind
	vis   elf.SymVis
	block int // in image.blocks; -1 for global symbols
	abs   bool
}

// block is the local symbols that follow an STT_FILE symbol.
type block struct {
	file    string
	symbols []imageSymbol
	named   map[string]imageSymbol
}

// readImage indexes a linked file. debug is the file that its symbols were put
// into, or nil.
func readImage(path string, r, debug *io.SectionReader) (*image, error) {
	f, err := elffile.New(r, r.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m, err := newImage(path, f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	symbols := f
	if debug != nil {
		if symbols, err = elffile.New(debug, debug.Size()); err != nil {
			return nil, fmt.Errorf("%s: debug image: %w", path, err)
		}
		if id, err := symbols.BuildID(); err != nil || id != m.buildID {
			return nil, &Refusal{Code: CodeImageMismatch, Place: m.name, Detail: fmt.Sprintf("the debug image has build-id %q and the image %q", id, m.buildID), Advice: "give the debug file of this very build"}
		}
		if err := sameLayout(f, symbols); err != nil {
			return nil, &Refusal{Code: CodeImageMismatch, Place: m.name, Detail: "debug image: " + err.Error(), Advice: "give the debug file of this very build"}
		}
	}
	syms, err := symbols.Symbols()
	if err == nil && len(syms) == 0 {
		return nil, &Refusal{Code: CodeNoSymbols, Place: m.name, Detail: "the image is stripped", Advice: "give its debug image (--debug-image), or the file as it was before stripping"}
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m.index(syms)
	m.debug = r
	if debug != nil {
		m.debug = debug
	}
	if m.compilers, err = commentOf(f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := m.readDynamic(f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// AttachDebug gives the debug file at path to the image of the same build-id.
func AttachDebug(images []ImageFile, path string, debug *io.SectionReader) error {
	f, err := elffile.New(debug, debug.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	id, err := f.BuildID()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	found := false
	for i := range images {
		m, err := elffile.New(images[i].Image, images[i].Image.Size())
		if err != nil {
			return fmt.Errorf("%s: %w", images[i].Path, err)
		}
		if got, err := m.BuildID(); err == nil && got == id {
			images[i].Debug, found = debug, true
		}
	}
	if !found {
		return Refusals{{Code: CodeImageMismatch, Place: path, Detail: fmt.Sprintf("the debug image has build-id %s, which no image has", id), Advice: "give the debug file of this very build"}}
	}
	return nil
}

func newImage(path string, f *elffile.File) (*image, error) {
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return nil, fmt.Errorf("%v is not a linked file", f.Type)
	}
	a, err := all.ByMachine(f.Machine)
	if err != nil {
		return nil, err
	}
	m := &image{name: filepath.Base(path), path: path, arch: a, typ: f.Type, named: map[string][]imageSymbol{}}
	for _, p := range f.Progs {
		switch p.Type {
		case elf.PT_LOAD:
			m.loads = append(m.loads, load{p.ProgHeader, p.ReaderAt})
		case elf.PT_TLS:
			h := p.ProgHeader
			m.tls = &h
		case elf.PT_INTERP:
			m.interp = true
		}
	}
	m.buildID, err = f.BuildID()
	if errors.Is(err, elffile.ErrNoBuildID) {
		return nil, &Refusal{Code: CodeImageMismatch, Place: m.name, Detail: "the image has no build-id", Advice: "link it with -Wl,--build-id: processes are found by it"}
	}
	return m, err
}

// sameLayout wants every loaded section of the image at the same place in its
// debug file.
func sameLayout(f, debug *elffile.File) error {
	type place struct{ addr, size uint64 }
	there := map[string]place{}
	for _, s := range debug.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 {
			there[s.Name] = place{s.Addr, s.Size}
		}
	}
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		if got, ok := there[s.Name]; ok && got != (place{s.Addr, s.Size}) {
			return fmt.Errorf("section %s: %d bytes at %#x instead of %d at %#x", s.Name, got.size, got.addr, s.Size, s.Addr)
		}
	}
	return nil
}

func (m *image) index(syms []elf.Symbol) {
	current := -1
	for _, s := range syms {
		typ, bind := elf.ST_TYPE(s.Info), elf.ST_BIND(s.Info)
		if typ == elf.STT_FILE {
			current = len(m.blocks)
			m.blocks = append(m.blocks, block{file: s.Name, named: map[string]imageSymbol{}})
			m.hasFile = m.hasFile || s.Name != ""
			continue
		}
		if s.Section == elf.SHN_UNDEF || typ == elf.STT_SECTION || s.Name == "" {
			continue
		}
		sym := imageSymbol{name: s.Name, addr: arch.Addr(s.Value), size: s.Size, typ: typ, bind: bind, vis: elf.ST_VISIBILITY(s.Other), block: -1, abs: s.Section == elf.SHN_ABS}
		if bind == elf.STB_LOCAL && current >= 0 {
			sym.block = current
			b := &m.blocks[current]
			b.symbols = append(b.symbols, sym)
			b.named[sym.name] = sym
		}
		m.named[sym.name] = append(m.named[sym.name], sym)
		if base, _, versioned := strings.Cut(sym.name, "@"); versioned {
			m.named[base] = append(m.named[base], sym)
		}
		if typ != elf.STT_TLS {
			m.symbols = append(m.symbols, sym)
		}
	}
	sort.SliceStable(m.symbols, func(i, j int) bool { return m.symbols[i].addr < m.symbols[j].addr })
}

// segment finds the segment that holds n bytes at addr, in the file or, where
// it is only in memory, zero-filled.
func (m *image) segment(addr arch.Addr, n uint64) *load {
	for i := range m.loads {
		l := &m.loads[i]
		if a := uint64(addr); a >= l.Vaddr && a-l.Vaddr <= l.Memsz && n <= l.Memsz-(a-l.Vaddr) {
			return l
		}
	}
	return nil
}

var errNotLoaded = errors.New("not loaded")

// read returns n bytes as they are in the image, before dynamic relocation.
func (m *image) read(addr arch.Addr, n uint64) ([]byte, error) {
	l := m.segment(addr, n)
	if l == nil || n > maxObject {
		return nil, fmt.Errorf("%#x: %w", uint64(addr), errNotLoaded)
	}
	out := make([]byte, n)
	in := l.inFile(addr, n)
	if k, err := l.r.ReadAt(out[:in], int64(uint64(addr)-l.Vaddr)); uint64(k) < in {
		return nil, fmt.Errorf("%#x: %w", uint64(addr), err)
	}
	return out, nil
}

// inFile is how many of n bytes at addr are in the file; the others are zero.
func (l *load) inFile(addr arch.Addr, n uint64) uint64 {
	off := uint64(addr) - l.Vaddr
	if off >= l.Filesz {
		return 0
	}
	return min(n, l.Filesz-off)
}

// zeroed says whether the image has n zero bytes at addr.
func (m *image) zeroed(addr arch.Addr, n uint64) error {
	l := m.segment(addr, n)
	if l == nil {
		return fmt.Errorf("%#x: %w", uint64(addr), errNotLoaded)
	}
	data, err := m.read(addr, l.inFile(addr, n))
	if err == nil && !isZero(data) {
		err = errors.New("not zero-filled")
	}
	return err
}

func (m *image) executable(addr arch.Addr) bool {
	l := m.segment(addr, 1)
	return l != nil && l.Flags&elf.PF_X != 0
}

// next returns the address of the first symbol behind addr.
func (m *image) next(addr arch.Addr) (arch.Addr, bool) {
	i := sort.Search(len(m.symbols), func(i int) bool { return m.symbols[i].addr > addr })
	if i == len(m.symbols) {
		return 0, false
	}
	return m.symbols[i].addr, true
}

// at returns the symbols with exactly that address.
func (m *image) at(addr arch.Addr) []imageSymbol {
	i := sort.Search(len(m.symbols), func(i int) bool { return m.symbols[i].addr >= addr })
	j := i
	for j < len(m.symbols) && m.symbols[j].addr == addr {
		j++
	}
	return m.symbols[i:j]
}

// shared says whether the image is a shared library and not an executable.
func (m *image) shared() bool { return m.typ == elf.ET_DYN && !m.interp && !m.dyn.pie }
