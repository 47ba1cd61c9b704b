// SPDX-License-Identifier: GPL-2.0-or-later

package unwind

import (
	"sort"

	"github.com/ulpatch/ulpatch/arch"
)

// Climb follows a stack outwards from a frame of which no more is known than
// Caller is told. It calls visit for each return: from is an address within the
// function that returns, to is where it returns to. It ends where visit returns
// false, at the outermost frame, and where it would take a register that is not
// known.
func (u *Unwinder) Climb(pc, sp arch.Addr, visit func(from, to arch.Addr) bool) {
	s := &u.state
	s.stack.data = nil
	s.pc = pc
	stackPointer := u.arch.Regs.DWARFSP
	s.regs[stackPointer] = uint64(sp)
	var known [maxColumns]bool
	known[stackPointer] = true
	for range maxFrames {
		f := Frame{PC: s.pc}
		r, err := u.row(f)
		if err != nil || r.signal || r.cfaExpr != nil || !known[r.cfaReg] || r.returns == same {
			return
		}
		cfa, err := s.cfa(r)
		if err != nil || cfa <= s.sp() {
			return
		}
		if outermost, err := s.step(r, cfa, false); err != nil || outermost || !visit(f.Lookup(), s.pc) {
			return
		}
		for _, rule := range r.rules {
			known[rule.reg] = rule.kind == atCFA || rule.kind == isCFA || rule.kind == register && known[rule.from]
		}
	}
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
