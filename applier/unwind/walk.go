// SPDX-License-Identifier: GPL-2.0-or-later

package unwind

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"github.com/go-delve/delve/pkg/dwarf/op"

	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/arch"
)

// Frame is a function activation on a stack.
type Frame struct {
	// PC is the next instruction that the activation executes.
	PC arch.Addr
	// Exact says that PC is where the thread stopped or was interrupted; else it
	// is a return address, and the call before it is what the activation does.
	Exact bool
	// CFA is the canonical frame address; 0 where it is not known.
	CFA arch.Addr
}

// Lookup is an address inside the instruction that the frame is at: a return
// address may be the first byte of the next function.
func (f Frame) Lookup() arch.Addr {
	if f.Exact {
		return f.PC
	}
	return f.PC - 1
}

// Unwinder walks the stacks of one process.
type Unwinder struct {
	arch   *arch.Arch
	tables []*Table
	mem    module.Memory
	rows   map[arch.Addr]*row // by Frame.Lookup
}

// New makes an unwinder from the tables of all code that is known.
func New(a *arch.Arch, mem module.Memory, tables []*Table) *Unwinder {
	sorted := append([]*Table(nil), tables...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Start < sorted[j].Start })
	return &Unwinder{a, sorted, mem, map[arch.Addr]*row{}}
}

// ErrTruncated: the walk ended before the outermost frame.
var ErrTruncated = errors.New("stack cannot be followed further")

const maxFrames = 100_000

// Walk calls visit for each frame, innermost first, until it returns false or
// the outermost frame is reached. regs are the thread's general registers.
// Where the walk ends early, the error wraps ErrTruncated and names the place,
// and rest is the address on the stack from which on nothing is known.
func (u *Unwinder) Walk(regs []byte, visit func(Frame) bool) (rest arch.Addr, err error) {
	s := state{u: u, stack: stack{mem: u.mem}}
	s.load(u.arch, regs)
	exact := true
	for range maxFrames {
		f := Frame{PC: s.pc, Exact: exact}
		r, err := u.row(f.Lookup())
		if err != nil {
			visit(f)
			return s.sp(), fmt.Errorf("%w: at %#x: %w", ErrTruncated, uint64(f.PC), err)
		}
		cfa, err := s.cfa(r)
		if err != nil {
			visit(f)
			return s.sp(), fmt.Errorf("%w: CFA of the frame at %#x: %w", ErrTruncated, uint64(f.PC), err)
		}
		f.CFA = cfa
		if !visit(f) {
			return 0, nil
		}
		rest := s.sp()
		outermost, err := s.step(r, cfa)
		if err != nil {
			return rest, fmt.Errorf("%w: caller of the frame at %#x: %w", ErrTruncated, uint64(f.PC), err)
		}
		if outermost {
			return 0, nil
		}
		if cfa <= rest && !r.signal && !exact {
			return rest, fmt.Errorf("%w: the frame at %#x does not lead outwards", ErrTruncated, uint64(f.PC))
		}
		exact = r.signal
	}
	return s.sp(), fmt.Errorf("%w: more than %d frames", ErrTruncated, maxFrames)
}

// row finds the row for an address, and remembers it.
func (u *Unwinder) row(at arch.Addr) (*row, error) {
	if r, ok := u.rows[at]; ok {
		return r, nil
	}
	i := sort.Search(len(u.tables), func(i int) bool { return u.tables[i].Start > at })
	for i--; i >= 0; i-- {
		if t := u.tables[i]; at < t.End {
			r, err := t.find(at, len(u.arch.Regs.DWARF))
			if err != nil {
				return nil, err
			}
			u.rows[at] = r
			return r, nil
		}
	}
	return nil, errNoInfo
}

// state is the registers of one frame.
type state struct {
	u     *Unwinder
	pc    arch.Addr
	regs  [64]uint64 // by DWARF number
	stack stack
}

func (s *state) load(a *arch.Arch, regs []byte) {
	for n, off := range a.Regs.DWARF {
		if off >= 0 {
			s.regs[n] = binary.LittleEndian.Uint64(regs[off:])
		}
	}
	s.pc = arch.Addr(binary.LittleEndian.Uint64(regs[a.Regs.PC:]))
}

func (s *state) sp() arch.Addr { return arch.Addr(s.regs[s.u.arch.Regs.DWARFSP]) }

func (s *state) cfa(r *row) (arch.Addr, error) {
	if r.cfaExpr == nil {
		return arch.Addr(s.regs[r.cfaReg] + uint64(r.cfaOffset)), nil
	}
	v, err := s.eval(r.cfaExpr, nil)
	return arch.Addr(v), err
}

// step replaces the registers by the caller's.
func (s *state) step(r *row, cfa arch.Addr) (outermost bool, err error) {
	ra := s.u.arch.Regs.DWARFRA
	if r.rules[ra].kind == undefined {
		return true, nil
	}
	next := s.regs
	for n := range r.rules {
		rule := &r.rules[n]
		at := cfa + arch.Addr(rule.offset)
		switch rule.kind {
		case atExpr, isExpr:
			v, err := s.eval(rule.expr, &cfa)
			if err != nil {
				return false, err
			}
			if rule.kind == isExpr {
				next[n] = v
				continue
			}
			at = arch.Addr(v)
			fallthrough
		case atCFA:
			if next[n], err = s.stack.word(at); err != nil {
				return false, err
			}
		case isCFA:
			next[n] = uint64(at)
		case register:
			next[n] = s.regs[rule.reg]
		}
	}
	if sp := s.u.arch.Regs.DWARFSP; r.rules[sp].kind == same {
		next[sp] = uint64(cfa)
	}
	s.regs = next
	s.pc = arch.Addr(next[ra])
	return s.pc == 0, nil
}

// eval runs a DWARF expression, with the CFA on its stack where one is given.
func (s *state) eval(expr []byte, cfa *arch.Addr) (uint64, error) {
	regs := make([]*op.DwarfRegister, len(s.u.arch.Regs.DWARF))
	for n := range regs {
		regs[n] = op.DwarfRegisterFromUint64(s.regs[n])
	}
	if ra := s.u.arch.Regs; !ra.RAInRegister {
		regs[ra.DWARFRA] = op.DwarfRegisterFromUint64(uint64(s.pc))
	}
	if cfa != nil {
		push := make([]byte, 9, 9+len(expr))
		push[0] = byte(op.DW_OP_const8u)
		binary.LittleEndian.PutUint64(push[1:], uint64(*cfa))
		expr = append(push, expr...)
	}
	set := op.NewDwarfRegisters(0, regs, binary.LittleEndian, 0, 0, 0, 0)
	v, _, err := op.ExecuteStackProgram(*set, expr, 8, func(p []byte, addr uint64) (int, error) {
		return len(p), s.u.mem.Read(arch.Addr(addr), p)
	})
	return uint64(v), err
}

// stack reads words of a stack, many at a time.
type stack struct {
	mem  module.Memory
	at   arch.Addr
	data []byte
	buf  [stackChunk]byte
}

const stackChunk = 1024

func (s *stack) word(addr arch.Addr) (uint64, error) {
	if off := uint64(addr - s.at); len(s.data) >= 8 && off <= uint64(len(s.data)-8) {
		return binary.LittleEndian.Uint64(s.data[off:]), nil
	}
	// A chunk that ends with its page is all mapped or not at all.
	const page = 4096
	n := min(stackChunk, page-uint64(addr)%page)
	if n < 8 {
		n = 8
	}
	s.data = s.buf[:n]
	if err := s.mem.Read(addr, s.data); err != nil {
		s.data = nil
		return 0, err
	}
	s.at = addr
	return binary.LittleEndian.Uint64(s.data), nil
}
