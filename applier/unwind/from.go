// SPDX-License-Identifier: GPL-2.0-or-later

package unwind

import "github.com/ulpatch/ulpatch/arch"

// Caller is the return address of a frame of which no more is known than that
// pc is what its callee returns to and sp its stack pointer after that. It is 0
// where the frame is the outermost one. ok is false where nothing can be told,
// because that takes a register that is not known or memory that is not there.
func (u *Unwinder) Caller(pc, sp arch.Addr) (caller arch.Addr, ok bool) {
	s := &u.state
	s.stack.data = nil
	s.pc = pc
	s.regs[u.arch.Regs.DWARFSP] = uint64(sp)
	r, err := u.row(Frame{PC: pc})
	if err != nil || r.cfaExpr != nil || int(r.cfaReg) != u.arch.Regs.DWARFSP {
		return 0, false
	}
	cfa, err := s.cfa(r)
	if err != nil {
		return 0, false
	}
	outermost, err := s.step(r, cfa, false)
	if err != nil {
		return 0, false
	}
	if outermost {
		return 0, true
	}
	return s.pc, true
}

// Rehearse computes and remembers the rows of a stack that is about to be
// walked, from a program counter and a stack pointer, as far as these two lead.
func (u *Unwinder) Rehearse(pc, sp arch.Addr) {
	s := &u.state
	s.stack.data = nil
	s.pc = pc
	stackPointer := u.arch.Regs.DWARFSP
	s.regs[stackPointer] = uint64(sp)
	var known [maxColumns]bool
	known[stackPointer] = true
	const most = 256
	for f := (Frame{PC: pc, Exact: true}); f.PC != 0; f = (Frame{PC: s.pc}) {
		r, err := u.row(f)
		if err != nil || r.signal || r.cfaExpr != nil || !known[r.cfaReg] || len(u.rows) > most*most {
			return
		}
		if r.returns == same {
			return // in a register that is not known
		}
		cfa, err := s.cfa(r)
		if err != nil || cfa <= s.sp() {
			return
		}
		if outermost, err := s.step(r, cfa, f.Exact); err != nil || outermost {
			return
		}
		for _, rule := range r.rules {
			known[rule.reg] = rule.kind == atCFA || rule.kind == isCFA || rule.kind == register && known[rule.from]
		}
	}
}
