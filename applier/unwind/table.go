// SPDX-License-Identifier: GPL-2.0-or-later

// Package unwind walks the stacks of stopped threads by call-frame information
// (DWARF 5, section 6.4; LSB, ".eh_frame"). Tables are read before anything is
// stopped, and rows are remembered. Where the information is missing or leads
// nowhere it says so; what to make of the rest of the stack is the caller's.
package unwind

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/arch"
)

// Table is the call-frame information of one range of code. It may be used by
// one goroutine at a time.
type Table struct {
	Start, End arch.Addr

	section []byte
	addr    arch.Addr // of section
	index   []entry   // by begin
	cies    map[uint64]*cie
}

// entry says where in the section the description of a function is.
type entry struct {
	begin arch.Addr
	fde   uint64
}

var errNoInfo = errors.New("no call-frame information")

// Parse reads an .eh_frame section that is mapped at addr and describes code
// between start and end. What follows the section's end mark is ignored.
// Descriptions that make no sense are left out: there is then no information
// for their functions.
func Parse(section []byte, addr, start, end arch.Addr) (*Table, error) {
	t := &Table{Start: start, End: end, section: section, addr: addr, cies: map[uint64]*cie{}}
	for at := uint64(0); at+4 <= uint64(len(section)); {
		id, body, size, err := t.entryAt(at)
		if err != nil {
			return nil, fmt.Errorf("call-frame information at %#x: %w", uint64(addr)+at, err)
		}
		if size == 0 {
			break // the end mark
		}
		if id != 0 {
			if f, err := t.fdeOf(at, id, body); err == nil {
				t.index = append(t.index, entry{f.begin, at})
			}
		}
		at += size
	}
	t.sort()
	return t, nil
}

func (t *Table) sort() {
	less := func(i, j int) bool { return t.index[i].begin < t.index[j].begin }
	if !sort.SliceIsSorted(t.index, less) {
		sort.SliceStable(t.index, less)
	}
}

const maxSection = 256 << 20

// OfModule finds a module's .eh_frame, and the index that the linker made of it,
// by PT_GNU_EH_FRAME (LSB, ".eh_frame_hdr").
func OfModule(m *module.Module, mem module.Memory) (*Table, error) {
	prog, ok := m.Prog(elf.PT_GNU_EH_FRAME)
	if !ok {
		return search(m, mem)
	}
	if prog.Memsz > maxSection {
		return nil, fmt.Errorf("%s: .eh_frame_hdr of %d bytes: %w", m.Path, prog.Memsz, errNoInfo)
	}
	hdr := reader{data: make([]byte, prog.Memsz), addr: m.Addr(prog.Vaddr)}
	if err := mem.Read(hdr.addr, hdr.data); err != nil {
		return nil, err
	}
	base := hdr.addr
	head := hdr.take(4)
	if hdr.err != nil || head[0] != 1 {
		return nil, fmt.Errorf("%s: .eh_frame_hdr: unknown version: %w", m.Path, errNoInfo)
	}
	start := hdr.pointer(head[1])
	if hdr.err != nil {
		return nil, fmt.Errorf("%s: .eh_frame_hdr: %w", m.Path, hdr.err)
	}
	section, err := segmentFrom(m, mem, start)
	if err != nil {
		return nil, err
	}
	const udata4, dataRelSData4 = 0x03, 0x3b
	if head[2] != udata4 || head[3] != dataRelSData4 {
		return Parse(section, start, m.Start, m.End)
	}
	count := hdr.uint(4)
	if hdr.err != nil || count > uint64(len(hdr.data)/8) {
		return nil, fmt.Errorf("%s: .eh_frame_hdr: %w", m.Path, errShort)
	}
	t := &Table{Start: m.Start, End: m.End, section: section, addr: start, cies: map[uint64]*cie{}}
	t.index = make([]entry, count)
	relative := func(p []byte) arch.Addr { return base + arch.Addr(int64(int32(binary.LittleEndian.Uint32(p)))) }
	for i := range t.index {
		t.index[i] = entry{relative(hdr.data[8*i:]), uint64(relative(hdr.data[8*i+4:]) - start)}
	}
	t.sort()
	return t, nil
}

// search finds the .eh_frame of a static executable, to which no program header
// leads: a chain of entries that ends with the end mark and describes code of
// the module and nothing else.
func search(m *module.Module, mem module.Memory) (*Table, error) {
	for _, load := range m.Progs {
		if load.Type != elf.PT_LOAD || load.Flags&elf.PF_X != 0 || load.Filesz > maxSection {
			continue
		}
		addr := m.Addr(load.Vaddr)
		data := make([]byte, load.Filesz)
		if mem.Read(addr, data) != nil {
			continue
		}
		// The first entry is a CIE: length, id 0, version 1, augmentation "z...".
		for at := int(-addr & 3); at+12 <= len(data); at += 4 {
			if data[at+8] != 1 || data[at+9] != 'z' || binary.LittleEndian.Uint32(data[at+4:]) != 0 {
				continue
			}
			t, err := Parse(data[at:], addr+arch.Addr(at), m.Start, m.End)
			if err != nil || len(t.index) == 0 || !m.IsCode(t.index[0].begin) || !m.IsCode(t.index[len(t.index)-1].begin) {
				continue
			}
			return t, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", m.Path, errNoInfo)
}

// segmentFrom reads a module's segment from an address to its end.
func segmentFrom(m *module.Module, mem module.Memory, start arch.Addr) ([]byte, error) {
	for _, load := range m.Progs {
		off := uint64(start - m.Addr(load.Vaddr))
		if load.Type != elf.PT_LOAD || off >= load.Filesz {
			continue
		}
		if load.Filesz-off > maxSection {
			break
		}
		section := make([]byte, load.Filesz-off)
		return section, mem.Read(start, section)
	}
	return nil, fmt.Errorf("%s: .eh_frame is not loaded: %w", m.Path, errNoInfo)
}

// entryAt reads the head of the CIE (id 0) or FDE (id: distance of its CIE) at
// an offset. size is that of the whole entry, 0 for the end mark.
func (t *Table) entryAt(at uint64) (id uint64, body reader, size uint64, err error) {
	if at > uint64(len(t.section)) {
		return 0, reader{}, 0, errShort
	}
	r := reader{data: t.section[at:], addr: t.addr + arch.Addr(at)}
	length := r.uint(4)
	if length == 0 {
		return 0, reader{}, 0, r.err
	}
	if length == 0xffffffff {
		length = r.uint(8)
	}
	body = reader{addr: r.addr}
	body.data = r.take(length)
	if r.err == nil {
		id = body.uint(4)
		r.err = body.err
	}
	return id, body, uint64(r.addr-t.addr) - at, r.err
}

// cie is what functions have in common.
type cie struct {
	codeAlign     uint64
	dataAlign     int64
	encoding      byte // of pointers
	augmented     bool // with a size before what only some read
	signal        bool // a signal frame: the return address is exact
	returnAddress uint64
	program       []byte
	err           error
}

func (t *Table) cieAt(at uint64) *cie {
	c, ok := t.cies[at]
	if !ok {
		c = t.parseCIE(at)
		t.cies[at] = c
	}
	return c
}

func (t *Table) parseCIE(at uint64) *cie {
	id, r, size, err := t.entryAt(at)
	if err != nil || size == 0 || id != 0 {
		return &cie{err: errors.New("no CIE")}
	}
	c := &cie{}
	version := r.uint(1)
	if version != 1 && version != 3 {
		return &cie{err: fmt.Errorf("CIE of version %d", version)}
	}
	augmentation := r.text()
	c.codeAlign, c.dataAlign = r.uleb(), r.sleb()
	if version == 1 {
		c.returnAddress = r.uint(1)
	} else {
		c.returnAddress = r.uleb()
	}
	if augmentation != "" {
		if augmentation[0] != 'z' {
			return &cie{err: fmt.Errorf("augmentation %q", augmentation)}
		}
		c.augmented = true
		size := r.uleb()
		data := reader{addr: r.addr}
		data.data = r.take(size)
		c.augment(augmentation[1:], &data)
		if data.err != nil {
			return &cie{err: data.err}
		}
	}
	c.program, c.err = r.data, r.err
	return c
}

// augment reads augmentation data. An unknown letter ends it: what follows has
// to do with exceptions, or is not known either.
func (c *cie) augment(letters string, data *reader) {
	for _, letter := range letters {
		switch letter {
		case 'R':
			c.encoding = byte(data.uint(1))
		case 'S':
			c.signal = true
		case 'L':
			data.uint(1)
		case 'P':
			data.pointer(byte(data.uint(1)))
		case 'B', 'G': // aarch64: which key, which tags
		default:
			data.err = fmt.Errorf("augmentation %q", letter)
			return
		}
	}
}

// fde describes one function.
type fde struct {
	*cie
	begin, end arch.Addr
	program    []byte
}

func (t *Table) fdeAt(at uint64) (fde, error) {
	id, body, size, err := t.entryAt(at)
	if err != nil {
		return fde{}, err
	}
	if size == 0 || id == 0 {
		return fde{}, errors.New("no FDE")
	}
	return t.fdeOf(at, id, body)
}

func (t *Table) fdeOf(at, id uint64, body reader) (fde, error) {
	field := uint64(body.addr-t.addr) - 4
	if id > field {
		return fde{}, errors.New("no CIE")
	}
	f := fde{cie: t.cieAt(field - id)}
	if f.err != nil {
		return fde{}, f.err
	}
	f.begin = body.pointer(f.encoding)
	f.end = f.begin + arch.Addr(body.number(f.encoding&0xf))
	if f.augmented {
		body.take(body.uleb())
	}
	f.program = body.data
	return f, body.err
}

// find computes the row for a program counter.
func (t *Table) find(pc arch.Addr, columns int) (*row, error) {
	i := sort.Search(len(t.index), func(i int) bool { return t.index[i].begin > pc }) - 1
	if i < 0 {
		return nil, errNoInfo
	}
	f, err := t.fdeAt(t.index[i].fde)
	if err != nil {
		return nil, err
	}
	if pc < f.begin || pc >= f.end {
		return nil, errNoInfo
	}
	return f.row(pc, columns)
}
