// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/scan"
	"github.com/ulpatch/ulpatch/arch"
)

// Where the stack alone does not tell whether a hit is a frame, what leads to the
// stack does. A stack that no thread is on is gone on with from a stack pointer
// that was saved somewhere: plainly, beside a program counter or above saved
// registers, or hidden in a jmp_buf. Where all that lead into it lead above the
// hit, nothing will ever return through that.
//
// The saved stack pointers are looked for while the process runs, and read again
// once it does not. Nothing may have run on the stack meanwhile and been saved in
// another place: either the stack is what it was before, or what leads into it is a
// jmp_buf, which programs use again, and must not move.

// idleStack is a stack that may hold hits which cannot be told from frames by
// themselves.
type idleStack struct {
	digest   uint64
	contexts []arch.Addr // the words that might be saved stack pointers into it
}

// judge looks for what leads into the stacks that hold return addresses into zones.
func (s *suspended) judge() {
	s.idle = map[scan.Region]*idleStack{}
	var stacks []scan.Region
	for _, suspect := range s.suspects {
		r, ok := s.stackOf(suspect.Start)
		if !ok || s.idle[r] != nil {
			continue
		}
		s.idle[r] = &idleStack{digest: s.digest(r)}
		stacks = append(stacks, r)
	}
	if len(stacks) == 0 {
		return
	}
	slices.SortFunc(stacks, func(a, b scan.Region) int { return cmp.Compare(a.Start, b.Start) })
	s.unread = len(scan.Writable(s.maps, func(m proc.Mapping) bool { return !searchable(m) })) > 0
	for _, r := range scan.Writable(s.maps, searchable) {
		_, _ = s.scanner.Each(r, func(at arch.Addr, run []byte) bool {
			for off := 0; off+8 <= len(run); off += 8 {
				word := binary.LittleEndian.Uint64(run[off:])
				for _, sp := range s.pointers(word) {
					if stack, ok := holding(stacks, sp); ok {
						idle := s.idle[stack]
						idle.contexts = append(idle.contexts, at+arch.Addr(off))
					}
				}
			}
			return true
		})
	}
}

// stackOf is the mapping that an address lies in, if that could be a stack's alone.
func (s *suspended) stackOf(at arch.Addr) (scan.Region, bool) {
	m, ok := s.maps.Find(at)
	return scan.Region{Start: m.Start, End: m.End}, ok && m.End-m.Start <= smallRegion && m.Path != "[heap]"
}

// holding finds the one of sorted regions that an address lies in.
func holding(regions []scan.Region, at arch.Addr) (scan.Region, bool) {
	if at < regions[0].Start || at >= regions[len(regions)-1].End {
		return scan.Region{}, false
	}
	i, ok := slices.BinarySearchFunc(regions, at, func(r scan.Region, at arch.Addr) int {
		switch {
		case at < r.Start:
			return 1
		case at >= r.End:
			return -1
		}
		return 0
	})
	if !ok {
		return scan.Region{}, false
	}
	return regions[i], true
}

// hiddenPointer is which of pointers comes out of a jmp_buf.
const hiddenPointer = 1

// pointers are the stack pointers that a word may stand for: itself, and what a
// jmp_buf hides.
func (s *suspended) pointers(word uint64) [2]arch.Addr {
	p := [2]arch.Addr{arch.Addr(word)}
	if m := s.p.arch.Mangling; m != nil && s.guard != 0 {
		p[hiddenPointer] = arch.Addr(m.Reveal(word, s.guard))
	}
	return p
}

// digest is one of what exists of a stack.
func (s *suspended) digest(r scan.Region) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = s.scanner.Each(r, func(at arch.Addr, run []byte) bool {
		var where [8]byte
		binary.LittleEndian.PutUint64(where[:], uint64(at))
		_, _ = h.Write(where[:])
		_, _ = h.Write(run)
		return true
	})
	return h.Sum64()
}

// isStale tells whether a hit is left over, while nothing runs.
func (s *suspended) isStale(h hit) bool {
	r, ok := s.stackOf(h.at)
	idle := s.idle[r]
	if !ok || idle == nil || len(idle.contexts) == 0 {
		return false
	}
	c := s.checked[r]
	if c == nil {
		c = &checkedStack{start: r.Start, pointers: s.pointersInto(r, idle)}
		s.checked[r] = c
	}
	// What saves its own stack pointer has called something to do that, which has
	// pushed a return address right below.
	live := h.at
	if !s.p.arch.Regs.RAInRegister {
		live = h.above()
	}
	// A jmp_buf leads above the hit.
	hidden := slices.ContainsFunc(c.pointers, func(p *savedPointer) bool {
		return p.hidden && !p.inside && p.sp > live && s.hidesCode(p)
	})
	above := hidden // something leads above the hit
	for _, p := range c.pointers {
		if p.inside && p.at < p.sp && (hidden || !s.describes(c, p, h)) {
			continue // it points to where its frame has been called from, if any
		}
		switch {
		case p.sp <= live && s.resumes(p, h):
			return false
		case p.sp > live && s.unread && !above:
			above = len(s.counterBeside(p, true))+len(s.returnsAbove(p)) > 0
		}
	}
	if hidden || s.unread && !above {
		return hidden // else what leads to this stack may be where nothing was read
	}
	if !c.compared {
		c.compared, c.same = true, s.digest(r) == idle.digest
	}
	return c.same
}

// checkedStack is what is known of a stack while nothing runs.
type checkedStack struct {
	start          arch.Addr
	pointers       []*savedPointer
	compared, same bool // whether the stack is as it was
}

// describes tells whether what lies below a stack in the same memory describes that
// stack, and is no part of what calls have left: whether something else has a
// pointer to it. At the low end of the memory, where calls hardly come, that can be
// anything above the hit; elsewhere it is no stack.
func (s *suspended) describes(c *checkedStack, p *savedPointer, h hit) bool {
	const before, behind = 128, 8 << 10 // the saved stack pointer is so far in it
	const lowEnd = 64 << 10
	low := p.at < c.start+lowEnd
	return slices.ContainsFunc(c.pointers, func(q *savedPointer) bool {
		switch {
		case q.hidden || q.sp >= p.at+before || q.sp+behind <= p.at:
			return false
		case q.inside:
			return low && q.at >= h.at
		}
		return low || !slices.ContainsFunc(s.own, func(r scan.Region) bool { return q.at >= r.Start && q.at < r.End })
	})
}

// savedPointer is a word that may be a saved stack pointer.
type savedPointer struct {
	at, sp arch.Addr // where it is, and what it says
	hidden bool      // as in a jmp_buf
	inside bool      // it lies in the memory that it leads into
	asked  bool
	trails []trail // the stacks that it may lead to, if it was asked
}

// pointersInto are the words that lead into a stack now.
func (s *suspended) pointersInto(r scan.Region, idle *idleStack) (found []*savedPointer) {
	for _, at := range idle.contexts {
		var buf [8]byte
		if s.p.mem.Read(at, buf[:]) != nil {
			continue
		}
		for i, sp := range s.pointers(binary.LittleEndian.Uint64(buf[:])) {
			if sp >= r.Start && sp < r.End {
				found = append(found, &savedPointer{at: at, sp: sp, hidden: i == hiddenPointer, inside: at >= r.Start && at < r.End})
			}
		}
	}
	return found
}

// hidesCode tells whether a jmp_buf has its stack pointer here: whether a program
// counter is hidden beside, with which the stack may go on there.
func (s *suspended) hidesCode(p *savedPointer) bool {
	var beside [8]byte
	m := s.p.arch.Mangling
	if s.p.mem.Read(p.at+arch.Addr(m.PC), beside[:]) != nil {
		return false
	}
	pc := m.Reveal(binary.LittleEndian.Uint64(beside[:]), s.guard)
	_, ok := s.goesOn(s.p.strip(arch.Addr(pc)), p.sp)
	return ok
}

// resumes tells whether a word can be a saved stack pointer, with which something
// goes on that would return through a hit. There are two ways to go on: with a
// program counter that was saved with it, or by returning to an address on the stack.
func (s *suspended) resumes(p *savedPointer, h hit) bool {
	if !p.asked {
		p.asked, p.trails = true, append(s.counterBeside(p, p.inside), s.returnsAbove(p)...)
	}
	return slices.ContainsFunc(p.trails, func(t trail) bool { return t.holds(h.at) })
}

// counterBeside looks for a program counter that was saved with a stack pointer. It
// is a return address as a rule, of what has saved the two, from which the stack
// goes on there. What was interrupted by a signal can be anywhere; right behind the
// stack pointer, as the kernel saves the two. Nearly all have it there, and only
// there it counts where usual says so: what calls have left is full of return
// addresses.
func (s *suspended) counterBeside(p *savedPointer, usual bool) (trails []trail) {
	m := s.p.arch.Mangling
	const room = 128 // bytes before and behind, of other registers
	start, words := s.around(p.at, room, room)
	for i, word := range words {
		at := start + arch.Addr(8*i)
		if at == p.at || usual && at != p.at+8 && (m == nil || at != p.at+arch.Addr(m.PC)) {
			continue
		}
		if t, ok := s.goesOn(s.p.strip(arch.Addr(word)), p.sp); ok {
			trails = append(trails, t)
		}
		if m != nil && s.guard != 0 {
			if t, ok := s.goesOn(s.p.strip(arch.Addr(m.Reveal(word, s.guard))), p.sp); ok {
				trails = append(trails, t)
			}
		}
		if at == p.at+8 {
			if t, ok := s.interrupted(p, arch.Addr(word)); ok {
				trails = append(trails, t)
			}
		}
	}
	return trails
}

// goesOn is the stack with which a function goes on at a return address, if it may.
// The call may have left that address on the stack, and the function another of its
// own, when it called what switches.
func (s *suspended) goesOn(pc, sp arch.Addr) (trail, bool) {
	if !s.code.isReturn(pc) {
		return trail{}, false
	}
	return s.chain.follows(pc, sp, []arch.Addr{sp - 8})
}

// interrupted is the stack of what a signal came to right before the instruction at
// pc, if it may have. Before the first one of a function, to which programs have
// pointers, its return address would be the last word on the stack; or in a register,
// which the kernel saves right before the stack pointer.
func (s *suspended) interrupted(p *savedPointer, pc arch.Addr) (t trail, ok bool) {
	if !s.code.contains(pc) || s.code.isReturn(pc) {
		return t, false
	}
	if start, _, ok := s.chain.unwinder.Function(pc); ok && start == pc {
		last := p.sp
		if s.p.arch.Regs.RAInRegister {
			last = p.at - 8
		}
		var word [8]byte
		if s.p.mem.Read(last, word[:]) == nil && !s.code.isReturn(s.p.strip(arch.Addr(binary.LittleEndian.Uint64(word[:])))) {
			return t, false
		}
	}
	return s.chain.follows(pc+1, p.sp, []arch.Addr{})
}

// returnsAbove looks for a return address among saved registers that a stack pointer
// points to, of a call that may be of what switches stacks: nothing else leaves a
// stack so that it is gone on with by returning. Other calls' return addresses stand
// above local variables, to which a program has pointers, too. What switches may save
// the stack pointer without the return address, right below.
func (s *suspended) returnsAbove(p *savedPointer) (trails []trail) {
	unknown := trail{rest: p.sp}
	area := uint64(128) // bytes in which a return address is expected
	if s.p.arch.Regs.RAInRegister {
		area = 256 // there are more registers to be saved, vectors too
	}
	start, words := s.around(p.sp, 8, area)
	if words == nil {
		return []trail{unknown}
	}
	for i, word := range words {
		ret := s.p.strip(arch.Addr(word))
		if !s.code.isReturn(ret) || !s.chain.switches(ret) {
			continue
		}
		if s.p.arch.Regs.RAInRegister { // the stack pointer of the frame is not told
			return []trail{unknown}
		}
		slot := start + arch.Addr(8*i)
		if t, ok := s.chain.follows(ret, slot+8, []arch.Addr{slot}); ok {
			trails = append(trails, t)
		}
	}
	return trails
}

// around reads words before and behind an address, as far as there is memory.
func (s *suspended) around(at arch.Addr, before, behind uint64) (start arch.Addr, words []uint64) {
	m, ok := s.maps.Find(at)
	start, end := at-arch.Addr(before), at+8+arch.Addr(behind)
	if ok {
		start, end = max(start, m.Start), min(end, m.End)
	}
	buf := make([]byte, end-start)
	if s.p.mem.Read(start, buf) != nil {
		return start, nil
	}
	for ; len(buf) >= 8; buf = buf[8:] {
		words = append(words, binary.LittleEndian.Uint64(buf))
	}
	return start, words
}
