// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"slices"

	"github.com/ulpatch/ulpatch/arch"
)

const weakBind = elf.STB_WEAK

// location is a unit in an image: where its atoms are, and the proof.
type location struct {
	unit  *unit
	image *image
	*prover
	ambiguous bool // two blocks of local symbols prove equally well
	unproved  bool // taken for a part of the image all the same
}

// locate finds the original object in the image. Global symbols tell their
// address; of the blocks of local symbols with the unit's file name that one is
// taken with which the most is proved.
func locate(u *unit, o *object, m *image) *location {
	best := &location{unit: u, image: m}
	for _, b := range candidateBlocks(o, m) {
		p := attempt(o, m, b)
		switch {
		case best.prover == nil || better(p, best.prover):
			best.prover, best.ambiguous = p, false
		case !better(best.prover, p) && !samePlaces(p, best.prover):
			best.ambiguous = true
		}
	}
	return best
}

// candidateBlocks returns the indexes of the blocks that may be the object's;
// -1 where none has its name or where that tells nothing.
func candidateBlocks(o *object, m *image) []int {
	var out []int
	for i := range m.blocks {
		if m.blocks[i].file == o.file && o.file != "" {
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		return []int{-1}
	}
	return out
}

func attempt(o *object, m *image, b int) *prover {
	p := newProver(m, o)
	var locals []*atom
	for _, a := range o.atoms {
		if a.kind == kindStartup {
			continue
		}
		if at, ok := globalPlace(a, m); ok {
			_ = p.place(a, at) // nothing contradicts the first
		} else if len(a.symbols) > 0 {
			locals = append(locals, a)
		}
	}
	p.placeLocals(locals, b)
	p.run()
	if b < 0 {
		p.placeLocals(locals, p.blockOf(locals))
		p.run()
		for _, a := range locals {
			if at, ok := lonePlace(a, m); ok && p.known(a) == nil {
				_ = p.place(a, at)
				p.run()
			}
		}
	}
	return p
}

// placeLocals takes the addresses of local symbols from a block of the image.
func (p *prover) placeLocals(locals []*atom, b int) {
	if b < 0 {
		return
	}
	for _, a := range locals {
		for _, s := range a.symbols {
			if there, ok := p.image.blocks[b].named[s.name]; ok && s.bind == elf.STB_LOCAL && p.known(a) == nil {
				_ = p.place(a, there.addr-arch.Addr(s.value-a.off))
			}
		}
	}
}

// blockOf tells the block that most of the local atoms that have been found are
// in, or -1.
func (p *prover) blockOf(locals []*atom) int {
	votes := map[int]int{}
	best := -1
	for _, a := range locals {
		at, ok := p.addr[a]
		if !ok || p.status[a] == Different {
			continue
		}
		for _, s := range p.image.at(at) {
			if s.block < 0 || !a.called(s.name) {
				continue
			}
			votes[s.block]++
			if best < 0 || votes[s.block] > votes[best] || votes[s.block] == votes[best] && s.block < best {
				best = s.block
			}
		}
	}
	return best
}

func (p *prover) known(a *atom) *arch.Addr {
	if at, ok := p.addr[a]; ok {
		return &at
	}
	return nil
}

// globalPlace is the one address that the image's symbols give an atom that
// other units can refer to.
func globalPlace(a *atom, m *image) (arch.Addr, bool) {
	var at []arch.Addr
	for _, s := range a.symbols {
		if s.bind == elf.STB_LOCAL {
			continue
		}
		for _, t := range m.named[s.name] {
			hidden := t.bind == elf.STB_LOCAL
			if hidden && t.block >= 0 && m.blocks[t.block].file != "" && s.vis == elf.STV_DEFAULT {
				continue // another unit's static
			}
			if v := t.addr - arch.Addr(s.value-a.off); !slices.Contains(at, v) {
				at = append(at, v)
			}
		}
	}
	if len(at) != 1 {
		return 0, false
	}
	return at[0], true
}

// lonePlace is the address of the only symbol of the image with an atom's name.
func lonePlace(a *atom, m *image) (arch.Addr, bool) {
	for _, s := range a.symbols {
		if there := m.named[s.name]; len(there) == 1 {
			return there[0].addr - arch.Addr(s.value-a.off), true
		}
	}
	return 0, false
}

// tally counts functions (and, after them, data) that are proved and that differ.
func (p *prover) tally() (good, bad int) {
	for a, s := range p.status {
		if a.kind == kindLiteral {
			continue
		}
		switch s {
		case Exact, Relaxed:
			good++
		case Different:
			bad++
		}
	}
	return good, bad
}

func better(p, q *prover) bool {
	pg, pb := p.tally()
	qg, qb := q.tally()
	if pb != qb {
		return pb < qb
	}
	return pg > qg
}

func samePlaces(p, q *prover) bool {
	for a, at := range p.addr {
		if other, ok := q.addr[a]; ok && other != at {
			return false
		}
	}
	return true
}

// proved says whether an atom of the original object is where addr says.
func (l *location) proved(a *atom) bool {
	s := l.status[a]
	return s == Exact || s == Relaxed
}
