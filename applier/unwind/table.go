// SPDX-License-Identifier: GPL-2.0-or-later

// Package unwind walks the stacks of stopped threads by call-frame information
// (DWARF 5, section 6.4; LSB, ".eh_frame"). Tables are parsed and rows are
// cached before anything is stopped, as far as that can be known. Where the
// information is missing or leads nowhere it says so, and finds every word of
// the rest of the stack that could be a return address.
package unwind

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"github.com/go-delve/delve/pkg/dwarf/frame"

	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/arch"
)

// Table is the call-frame information of one range of code.
type Table struct {
	Start, End arch.Addr
	entries    frame.FrameDescriptionEntries
}

var errNoInfo = errors.New("no call-frame information")

// Parse reads an .eh_frame section that is mapped at addr and describes code
// between start and end. What follows the section's end mark is ignored.
func Parse(section []byte, addr, start, end arch.Addr) (t *Table, err error) {
	defer func() {
		if r := recover(); r != nil {
			t, err = nil, fmt.Errorf("call-frame information at %#x: %v", uint64(addr), r)
		}
	}()
	size, err := extent(section)
	if err != nil {
		return nil, fmt.Errorf("call-frame information at %#x: %w", uint64(addr), err)
	}
	entries, err := frame.Parse(section[:size], binary.LittleEndian, 0, 8, uint64(addr))
	if err != nil {
		return nil, fmt.Errorf("call-frame information at %#x: %w", uint64(addr), err)
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Begin() < entries[j].Begin() })
	return &Table{start, end, entries}, nil
}

// extent is the length of the entries before the end mark, in bytes.
func extent(section []byte) (int, error) {
	at := 0
	for at+4 <= len(section) {
		size := int(binary.LittleEndian.Uint32(section[at:]))
		switch {
		case size == 0:
			return at, nil
		case size >= 0xfffffff0:
			return 0, errors.New("64-bit entry")
		case size < 4 || at+4+size > len(section):
			return 0, fmt.Errorf("entry at %#x is cut short", at)
		}
		at += 4 + size
	}
	return at, nil
}

const maxSection = 256 << 20

// OfModule parses a module's .eh_frame, which it finds by PT_GNU_EH_FRAME (LSB,
// ".eh_frame_hdr").
func OfModule(m *module.Module, mem module.Memory) (*Table, error) {
	prog, ok := m.Prog(elf.PT_GNU_EH_FRAME)
	if !ok {
		return nil, fmt.Errorf("%s: %w", m.Path, errNoInfo)
	}
	at := m.Addr(prog.Vaddr)
	var head [12]byte
	if err := mem.Read(at, head[:8]); err != nil {
		return nil, err
	}
	const pcrelSData4 = 0x1b
	if head[0] != 1 || head[1] != pcrelSData4 {
		return nil, fmt.Errorf("%s: .eh_frame_hdr: version %d, encoding %#x: %w", m.Path, head[0], head[1], errNoInfo)
	}
	start := at + 4 + arch.Addr(int64(int32(binary.LittleEndian.Uint32(head[4:]))))
	for _, load := range m.Progs {
		off := uint64(start - m.Addr(load.Vaddr))
		if load.Type != elf.PT_LOAD || off >= load.Filesz {
			continue
		}
		if load.Filesz-off > maxSection {
			return nil, fmt.Errorf("%s: .eh_frame: %w", m.Path, errNoInfo)
		}
		section := make([]byte, load.Filesz-off)
		if err := mem.Read(start, section); err != nil {
			return nil, err
		}
		return Parse(section, start, m.Start, m.End)
	}
	return nil, fmt.Errorf("%s: .eh_frame is not loaded: %w", m.Path, errNoInfo)
}

// ruleKind is how a register of the caller is found.
type ruleKind uint8

const (
	same      ruleKind = iota
	undefined          // not recoverable; of the return address: the outermost frame
	atCFA              // in memory at CFA + offset
	isCFA              // CFA + offset itself
	register           // in another register
	atExpr             // in memory at the expression's value
	isExpr             // the expression's value itself
)

type rule struct {
	kind   ruleKind
	reg    uint8
	offset int64
	expr   []byte
}

// row tells how to find the caller's registers at one instruction.
type row struct {
	cfaReg    uint8
	cfaOffset int64
	cfaExpr   []byte // nil unless the CFA is an expression
	rules     []rule // by DWARF number
	signal    bool   // a signal frame: the return address is exact
}

// find computes the row for a program counter.
func (t *Table) find(pc arch.Addr, columns int) (r *row, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = nil, fmt.Errorf("call-frame information for %#x: %v", uint64(pc), p)
		}
	}()
	i := sort.Search(len(t.entries), func(i int) bool { return t.entries[i].Begin() > uint64(pc) }) - 1
	if i < 0 || !t.entries[i].Cover(uint64(pc)) {
		return nil, errNoInfo
	}
	fde := t.entries[i]
	ctx, err := fde.EstablishFrame(uint64(pc))
	if err != nil {
		return nil, err
	}
	r = &row{rules: make([]rule, columns)}
	for _, c := range fde.CIE.Augmentation {
		r.signal = r.signal || c == 'S'
	}
	switch ctx.CFA.Rule {
	case frame.RuleCFA:
		if ctx.CFA.Reg >= uint64(columns) {
			return nil, fmt.Errorf("CFA by register %d", ctx.CFA.Reg)
		}
		r.cfaReg, r.cfaOffset = uint8(ctx.CFA.Reg), ctx.CFA.Offset
	case frame.RuleExpression:
		r.cfaExpr = ctx.CFA.Expression
	default:
		return nil, fmt.Errorf("CFA by rule %d", ctx.CFA.Rule)
	}
	for reg, dw := range ctx.Regs {
		if reg >= uint64(columns) {
			continue // vector registers and the like play no part
		}
		if r.rules[reg], err = convert(dw, columns); err != nil {
			return nil, fmt.Errorf("register %d: %w", reg, err)
		}
	}
	return r, nil
}

func convert(dw frame.DWRule, columns int) (rule, error) {
	switch dw.Rule {
	case frame.RuleSameVal:
		return rule{kind: same}, nil
	case frame.RuleUndefined:
		return rule{kind: undefined}, nil
	case frame.RuleOffset:
		return rule{kind: atCFA, offset: dw.Offset}, nil
	case frame.RuleValOffset:
		return rule{kind: isCFA, offset: dw.Offset}, nil
	case frame.RuleRegister:
		if dw.Reg >= uint64(columns) {
			return rule{}, fmt.Errorf("in register %d", dw.Reg)
		}
		return rule{kind: register, reg: uint8(dw.Reg)}, nil
	case frame.RuleExpression:
		return rule{kind: atExpr, expr: dw.Expression}, nil
	case frame.RuleValExpression:
		return rule{kind: isExpr, expr: dw.Expression}, nil
	}
	return rule{}, fmt.Errorf("rule %d", dw.Rule)
}
