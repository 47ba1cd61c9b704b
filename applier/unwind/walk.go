// SPDX-License-Identifier: GPL-2.0-or-later

package unwind

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

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

// Unwinder walks the stacks of one process, one at a time.
type Unwinder struct {
	arch   *arch.Arch
	tables []*Table
	mem    module.Memory
	masks  []byte             // of pointer authentication
	rows   map[arch.Addr]*row // by Frame.Lookup
	state  state
}

// New makes an unwinder from the tables of all code that is known.
func New(a *arch.Arch, mem module.Memory, tables []*Table) *Unwinder {
	sorted := append([]*Table(nil), tables...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Start < sorted[j].Start })
	u := &Unwinder{arch: a, tables: sorted, mem: mem, rows: map[arch.Addr]*row{}}
	u.state.u, u.state.stack.mem = u, mem
	return u
}

// Masks tells how to strip return addresses that are signed: it is the register
// set arch.Regs.MaskRegset of a thread of the process, or nil.
func (u *Unwinder) Masks(masks []byte) { u.masks = masks }

// Strip gives back a return address as it was before it was signed.
func (u *Unwinder) Strip(addr arch.Addr) arch.Addr {
	if u.masks == nil || u.arch.Regs.Strip == nil {
		return addr
	}
	return u.arch.Regs.Strip(addr, u.masks)
}

// Registers calls visit for what is known of the registers of the frame at which
// the last walk ended.
func (u *Unwinder) Registers(visit func(value uint64)) {
	for n := range u.arch.Regs.DWARF {
		visit(u.state.regs[n])
	}
}

// ErrTruncated: the walk ended before the outermost frame.
var ErrTruncated = errors.New("stack cannot be followed further")

const maxFrames = 100_000

// Walk calls visit for each frame, innermost first, until it returns false or
// the outermost frame is reached. regs are the thread's general registers.
// Where the walk ends early, the error wraps ErrTruncated and names the place,
// and rest is the address on the stack from which on nothing is known.
func (u *Unwinder) Walk(regs []byte, visit func(Frame) bool) (rest arch.Addr, err error) {
	s := &u.state
	s.stack.data = nil // it is another stack, or it has changed
	s.load(u.arch, regs)
	exact := true
	for range maxFrames {
		f := Frame{PC: s.pc, Exact: exact}
		r, err := u.row(f)
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
		outermost, err := s.step(r, cfa, exact)
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

// row finds the row for a frame, and remembers it.
func (u *Unwinder) row(f Frame) (*row, error) {
	at := f.Lookup()
	if r, ok := u.rows[at]; ok {
		return r, nil
	}
	// First of all the code that returns from a signal handler. Found by the byte
	// before it, it may seem to be of the function that stands there; and what
	// some kernels say of theirs leaves out the function that was interrupted.
	r := u.sigreturn(f)
	if r == nil {
		var err error
		if r, err = u.find(at); err != nil {
			return nil, err
		}
	}
	u.rows[at] = r
	return r, nil
}

func (u *Unwinder) find(at arch.Addr) (*row, error) {
	i := sort.Search(len(u.tables), func(i int) bool { return u.tables[i].Start > at })
	for i--; i >= 0; i-- {
		if t := u.tables[i]; at < t.End {
			return t.find(at, len(u.arch.Regs.DWARF))
		}
	}
	return nil, errNoInfo
}

// sigreturn makes a row for code that returns from a signal handler, from what
// is known of the signal frame. It returns nil for any other code.
func (u *Unwinder) sigreturn(f Frame) *row {
	for _, pattern := range u.arch.Syscall.Restorers {
		before := 0
		if f.Exact {
			before = len(pattern) - 1 // it may be in the midst of it
		}
		code := make([]byte, before+len(pattern))
		if u.mem.Read(f.PC-arch.Addr(before), code) != nil || !bytes.Contains(code, pattern) {
			continue
		}
		r := &row{cfaReg: uint8(u.arch.Regs.DWARFSP), returns: atCFA, signal: true}
		for reg, off := range u.arch.SigFrame.Saved {
			if off >= 0 {
				r.rules = append(r.rules, rule{kind: atCFA, reg: uint8(reg), offset: int64(off)})
			}
		}
		return r
	}
	return nil
}

// state is the registers of one frame.
type state struct {
	u     *Unwinder
	pc    arch.Addr
	regs  [maxColumns]uint64 // by DWARF number
	next  [maxColumns]uint64
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

var (
	errSameReturn  = errors.New("its return address is not saved")
	errInterrupted = errors.New("signal frame without the function that was interrupted")
)

// step replaces the registers by the caller's. exact says that the frame called
// nobody yet, so that its return address may still be in a register.
func (s *state) step(r *row, cfa arch.Addr, exact bool) (outermost bool, err error) {
	regs := &s.u.arch.Regs
	switch {
	case r.returns == undefined:
		return true, nil
	case r.returns == same && !(regs.RAInRegister && exact):
		return false, errSameReturn
	case r.signal && !r.finds(regs.DWARFPC):
		return false, errInterrupted
	}
	columns := len(regs.DWARF)
	copy(s.next[:columns], s.regs[:columns])
	s.next[regs.DWARFSP] = uint64(cfa)
	for i := range r.rules {
		rule := &r.rules[i]
		at := cfa + arch.Addr(rule.offset)
		switch rule.kind {
		case atExpr, isExpr:
			v, err := s.eval(rule.expr, &cfa)
			if err != nil {
				return false, err
			}
			if rule.kind == isExpr {
				s.next[rule.reg] = v
				continue
			}
			at = arch.Addr(v)
			fallthrough
		case atCFA:
			if s.next[rule.reg], err = s.stack.word(at); err != nil {
				return false, err
			}
		case isCFA:
			s.next[rule.reg] = uint64(at)
		case register:
			s.next[rule.reg] = s.regs[rule.from]
		}
	}
	copy(s.regs[:columns], s.next[:columns])
	if r.signal { // the interrupted function, which has a return address of its own
		s.pc = arch.Addr(s.regs[regs.DWARFPC])
	} else {
		s.pc = s.u.Strip(arch.Addr(s.regs[regs.DWARFRA]))
	}
	return s.pc == 0, nil
}

// stack reads words of a stack, many at a time.
type stack struct {
	mem  module.Memory
	at   arch.Addr
	data []byte
	buf  [stackChunk]byte
}

// stackChunk is a page: some tens of frames.
const stackChunk = 4096

func (s *stack) word(addr arch.Addr) (uint64, error) {
	if off := uint64(addr - s.at); len(s.data) >= 8 && off <= uint64(len(s.data)-8) {
		return binary.LittleEndian.Uint64(s.data[off:]), nil
	}
	// A chunk that ends with its page is all mapped or not at all.
	s.data = s.buf[:max(stackChunk-uint64(addr)%stackChunk, 8)]
	if err := s.mem.Read(addr, s.data); err != nil {
		s.data = nil
		return 0, err
	}
	s.at = addr
	return binary.LittleEndian.Uint64(s.data), nil
}
