// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"debug/elf"
	"sort"

	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/applier/scan"
	"github.com/ulpatch/ulpatch/arch"
)

// codeMap is a copy of the code of a process, to tell return addresses from
// other words.
type codeMap struct {
	arch  *arch.Arch
	parts []codePart // ascending
	spans []scan.Span
}

type codePart struct {
	start arch.Addr
	bytes []byte
}

// readCode copies the code of all modules and patches.
func readCode(v *view, mem module.Memory) codeMap {
	c := codeMap{arch: v.arch}
	add := func(start arch.Addr, size uint64) {
		if size == 0 || size > maxCode {
			return
		}
		code := make([]byte, size)
		if mem.Read(start, code) == nil {
			c.parts = append(c.parts, codePart{start, code})
			c.spans = extend(extend(c.spans, start), start+arch.Addr(size))
		}
	}
	for _, m := range v.modules {
		for _, p := range m.Progs {
			if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 {
				add(m.Addr(p.Vaddr), p.Filesz)
			}
		}
	}
	for _, r := range v.records {
		add(r.Base+arch.Addr(r.Code.Offset), r.Code.Size)
	}
	sort.Slice(c.parts, func(i, j int) bool { return c.parts[i].start < c.parts[j].start })
	return c
}

func (c *codeMap) find(addr arch.Addr) (code []byte, off uint64, ok bool) {
	i := sort.Search(len(c.parts), func(i int) bool { return c.parts[i].start > addr }) - 1
	if i < 0 {
		return nil, 0, false
	}
	off = uint64(addr - c.parts[i].start)
	return c.parts[i].bytes, off, off <= uint64(len(c.parts[i].bytes))
}

func (c *codeMap) contains(addr arch.Addr) bool {
	code, off, ok := c.find(addr)
	return ok && off < uint64(len(code))
}

// isReturn tells whether a call instruction ends at addr.
func (c *codeMap) isReturn(addr arch.Addr) bool {
	code, off, ok := c.find(addr)
	if !ok {
		return false
	}
	return c.arch.EndsInCall(code[:off])
}
