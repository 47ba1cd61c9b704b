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
	outermost, err := s.step(r, cfa)
	if err != nil {
		return 0, false
	}
	if outermost {
		return 0, true
	}
	return s.pc, true
}
