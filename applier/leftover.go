// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"

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
	hidden := false // in a jmp_buf that leads above the hit
	for _, at := range idle.contexts {
		if r.Start <= at && at < h.at {
			continue // what lies below the hit on the same stack is as old as it is
		}
		var buf [8]byte
		if s.p.mem.Read(at, buf[:]) != nil {
			continue
		}
		for i, sp := range s.pointers(binary.LittleEndian.Uint64(buf[:])) {
			switch {
			case sp < r.Start || sp >= r.End:
			case sp <= h.at && s.leadsToCode(at, sp):
				return false
			case sp > h.at && i == hiddenPointer:
				hidden = hidden || s.hidesCode(at)
			}
		}
	}
	if hidden {
		return true
	}
	same, ok := s.checked[r]
	if !ok {
		same = s.digest(r) == idle.digest
		s.checked[r] = same
	}
	return same
}

// hidesCode tells whether a jmp_buf has its stack pointer at an address: whether a
// program counter is hidden beside.
func (s *suspended) hidesCode(at arch.Addr) bool {
	var beside [8]byte
	m := s.p.arch.Mangling
	if s.p.mem.Read(at+arch.Addr(m.PC), beside[:]) != nil {
		return false
	}
	pc := m.Reveal(binary.LittleEndian.Uint64(beside[:]), s.guard)
	return s.code.isReturn(s.p.strip(arch.Addr(pc)))
}

// leadsToCode tells whether a saved stack pointer has a program counter beside
// it, or a return address among the saved registers that it points to.
func (s *suspended) leadsToCode(at, sp arch.Addr) bool {
	m := s.p.arch.Mangling
	places := []int{8} // of a ucontext_t
	if m != nil && m.PC != 8 {
		places = append(places, m.PC)
	}
	for _, place := range places {
		var beside [8]byte
		if s.p.mem.Read(at+arch.Addr(place), beside[:]) != nil {
			continue
		}
		word := binary.LittleEndian.Uint64(beside[:])
		if s.code.isReturn(s.p.strip(arch.Addr(word))) {
			return true
		}
		if m != nil && s.guard != 0 && s.code.isReturn(s.p.strip(arch.Addr(m.Reveal(word, s.guard)))) {
			return true
		}
	}
	saved := make([]byte, savedArea)
	if s.p.mem.Read(sp, saved) != nil {
		return true // it cannot be told
	}
	for off := 0; off+8 <= len(saved); off += 8 {
		word := s.p.strip(arch.Addr(binary.LittleEndian.Uint64(saved[off:])))
		if s.code.isReturn(word) && s.chain.possible(word, sp+arch.Addr(off)+8) {
			return true
		}
	}
	return false
}
