// SPDX-License-Identifier: GPL-2.0-or-later

package unwind

import (
	"sort"

	"github.com/ulpatch/ulpatch/arch"
)

// Climb follows a stack outwards from a frame of which no more is known than
// Caller is told. It calls visit for each return: from is an address within the
// function that returns, to is where it returns to, and slot is where on the stack
// that is. It ends where visit returns false, at the outermost frame, and where
// it would take a register that is not known. rest is then the address on the stack
// from which on nothing is known; complete says that there is none, the outermost
// frame having been found.
func (u *Unwinder) Climb(pc, sp arch.Addr, visit func(from, to, slot arch.Addr) bool) (rest arch.Addr, complete bool) {
	s := &u.state
	s.stack.data = nil
	s.pc = pc
	stackPointer := u.arch.Regs.DWARFSP
	s.regs[stackPointer] = uint64(sp)
	var known [maxColumns]bool
	known[stackPointer] = true
	for range maxFrames {
		f := Frame{PC: s.pc}
		rest = s.sp()
		r, err := u.row(f)
		if err != nil || r.signal || r.cfaExpr != nil || !known[r.cfaReg] || r.returns == same {
			return rest, false
		}
		cfa, err := s.cfa(r)
		slot, saved := r.slot(cfa, u.arch.Regs.DWARFRA)
		if err != nil || cfa <= s.sp() || !saved && r.returns != undefined {
			return rest, false
		}
		outermost, err := s.step(r, cfa, false)
		if err != nil {
			return rest, false
		}
		if outermost {
			return 0, true
		}
		if !visit(f.Lookup(), s.pc, slot) {
			return rest, false
		}
		for _, rule := range r.rules {
			known[rule.reg] = rule.kind == atCFA || rule.kind == isCFA || rule.kind == register && known[rule.from]
		}
	}
	return rest, false
}

// slot is where a row has the return address. ok is false where that is not told by
// the CFA alone.
func (r *row) slot(cfa arch.Addr, returnAddress int) (at arch.Addr, ok bool) {
	for _, rule := range r.rules {
		if int(rule.reg) == returnAddress && rule.kind == atCFA {
			return cfa + arch.Addr(rule.offset), true
		}
	}
	return 0, false
}

// Function returns the range of code that the call-frame information describes
// together with an address: a function, or a part of one.
func (u *Unwinder) Function(at arch.Addr) (start, end arch.Addr, ok bool) {
	i := sort.Search(len(u.tables), func(i int) bool { return u.tables[i].Start > at })
	for i--; i >= 0; i-- {
		if t := u.tables[i]; at < t.End {
			return t.function(at)
		}
	}
	return 0, 0, false
}

func (t *Table) function(at arch.Addr) (start, end arch.Addr, ok bool) {
	i := sort.Search(len(t.index), func(i int) bool { return t.index[i].begin > at }) - 1
	if i < 0 {
		return 0, 0, false
	}
	f, err := t.fdeAt(t.index[i].fde)
	return f.begin, f.end, err == nil && f.begin <= at && at < f.end
}
