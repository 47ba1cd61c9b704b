// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sort"
)

// A fix that adds lines to a file changes what __LINE__ is further down, and with
// it functions that only tell an assertion or a log where they are. Their old
// code does the same. A constant that differs is a line number if in both objects
// it is the line that their debug information gives to the very instruction that
// has it.

// lineOnly says whether two functions differ in nothing but line numbers.
func (u *unit) lineOnly(c *comparer, o, f *atom) bool {
	a := o.object.arch
	if a.Constant == nil || o.size != f.size || len(o.refs) != len(f.refs) || c.frames(o, f) != nil {
		return false
	}
	for i := range o.refs {
		if c.refAt(o, f, i) != nil {
			return false
		}
	}
	x, y := masked(o), masked(f)
	found := false
	for at := 0; at < len(o.data); {
		in, err := a.Decode(o.data[at:], 0)
		if err != nil || in.Len <= 0 || in.Len > len(o.data)-at {
			return false
		}
		if p, q := x[at:at+in.Len], y[at:at+in.Len]; !bytes.Equal(p, q) {
			old, mask, ok := a.Constant(p)
			line, same, too := a.Constant(q)
			if !ok || !too || !bytes.Equal(mask, same) || !equalOutside(p, q, mask) {
				return false
			}
			if !u.orig.isLine(o, at, old) || !u.fixed.isLine(f, at, line) {
				return false
			}
			found = true
		}
		at += in.Len
	}
	return found
}

func equalOutside(p, q, mask []byte) bool {
	for i := range p {
		if (p[i]^q[i])&^mask[i] != 0 {
			return false
		}
	}
	return true
}

// lineRow is a row of a line table: code from at on is of a line, up to the next.
type lineRow struct {
	at   uint64 // section index, shifted by lineSection, and offset
	line int    // 0 where a sequence ends
}

const lineSection = 40

// isLine says whether the debug information gives the instruction of a function
// at an offset to a line.
func (o *object) isLine(a *atom, at int, line int64) bool {
	if o.lines == nil {
		o.lines = guarded(func() []lineRow { return readLines(o.raw) })
		if o.lines == nil {
			o.lines = []lineRow{}
		}
	}
	place := uint64(a.section.index)<<lineSection + a.off + uint64(at)
	i := sort.Search(len(o.lines), func(i int) bool { return o.lines[i].at > place }) - 1
	if i < 0 {
		return false
	}
	for start := o.lines[i].at; i >= 0 && o.lines[i].at == start; i-- {
		if o.lines[i].line > 0 && int64(o.lines[i].line) == line {
			return true
		}
	}
	return false
}

// readLines reads an object's line tables. Code sections all begin at 0, so each
// is given addresses of its own first.
func readLines(data []byte) []lineRow {
	d := readDWARF(apart(data))
	if d == nil {
		return nil
	}
	var rows []lineRow
	r := d.Reader()
	for e, err := r.Next(); e != nil && err == nil; e, err = r.Next() {
		if e.Tag == dwarf.TagCompileUnit {
			lines, err := d.LineReader(e)
			if err != nil || lines == nil {
				return nil
			}
			var one dwarf.LineEntry
			for {
				if err := lines.Next(&one); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					return nil
				}
				line := one.Line
				if one.EndSequence {
					line = 0
				}
				rows = append(rows, lineRow{one.Address, line})
			}
		}
		r.SkipChildren()
	}
	// The end of one sequence may be where another begins.
	slices.SortStableFunc(rows, func(a, b lineRow) int {
		switch {
		case a.at != b.at:
			if a.at < b.at {
				return -1
			}
			return 1
		case (a.line == 0) != (b.line == 0):
			if a.line == 0 {
				return -1
			}
			return 1
		}
		return 0
	})
	return rows
}

// apart is a copy of an object in which the symbols of code have the index of
// their section in the upper bits of their value.
func apart(data []byte) []byte {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	out := bytes.Clone(data)
	const size, shndx, value = 24, 6, 8
	for _, s := range f.Sections {
		if s.Type != elf.SHT_SYMTAB || s.Offset+s.FileSize > uint64(len(out)) || s.Offset+s.FileSize < s.Offset {
			continue
		}
		for at := s.Offset; at+size <= s.Offset+s.FileSize; at += size {
			n := binary.LittleEndian.Uint16(out[at+shndx:])
			if int(n) < len(f.Sections) && f.Sections[n].Flags&elf.SHF_EXECINSTR != 0 {
				v := binary.LittleEndian.Uint64(out[at+value:])
				binary.LittleEndian.PutUint64(out[at+value:], v+uint64(n)<<lineSection)
			}
		}
	}
	return out
}
