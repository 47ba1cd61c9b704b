// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"slices"
	"sort"

	"github.com/ulpatch/ulpatch/arch"
)

// How far from an array, in bytes, the place may lie that code adds an index to:
// 128 elements of 8 bytes. A loop that uses the array only in some of its rounds
// begins before it, or behind it, by as many elements as it has other rounds.
// A place where something begins is not one of these, as far as nothing is added to
// its address, but an array that is indexed from 1 may begin an element behind it.
const (
	biasReach    = 1024
	elementReach = 16
)

// An address of which the instructions tell a page and a place in it may be an
// anchor: gcc for aarch64 computes one and reaches the variables round it by
// offsets that show in no relocation.
const (
	anchorBehind = 4096
	anchorBefore = 256
)

// doubtful says whether a reference tells only a place of a section of several
// atoms.
func (r *ref) doubtful() bool {
	t := r.target
	return t != nil && r.sym != nil && r.sym.label() && !r.access &&
		t.kind < kindStartup && t.kind != kindCode && !t.section.merged() && len(t.section.atoms) > 1
}

// others returns what a reference may mean instead of its target, by offset.
func (r *ref) others(from *atom) (out []*atom) {
	if !r.open(from) {
		return nil
	}
	t := r.target
	at := int64(t.off) + r.landing
	i := t.section.position(t)
	if r.anchor(from) {
		if r.ofAccess(from) {
			return nil
		}
		return t.section.around(i, at-anchorBefore, at+anchorBehind)
	}
	if from.kind != kindCode { // a pointer in data is to an element, or behind the last
		return t.section.endingAt(i, at)
	}
	if r.landing != 0 || r.based(from) {
		return t.section.near(at, t)
	}
	out = t.section.endingAt(i, at)
	behind := slices.DeleteFunc(slices.Clone(t.section.atoms[i+1:]), func(a *atom) bool { return a.size == 0 || isTable(a) })
	for _, next := range behind {
		distance := int64(next.off) - at
		if distance > biasReach {
			break
		}
		orphan := next.referred == 0 && !next.global()
		if !next.scalar() && (orphan || distance <= elementReach && next.size > uint64(distance)) {
			out = append(out, next)
		}
	}
	return out
}

// open says whether a reference tells no more than a place. What nothing else refers
// to is there because of this one.
func (r *ref) open(from *atom) bool {
	if !r.doubtful() || from.kind == kindFDE || from.kind == kindCIE {
		return false
	}
	t := r.target
	return r.landing != 0 || t.referred != 1 || t.global() || r.based(from) || t.kind != kindLiteral && !t.object.dropsUnused()
}

// near returns what code may mean that adds an index to the address of a place,
// without one atom. Nobody adds one to the address of a scalar.
func (s *section) near(at int64, without *atom) (out []*atom) {
	for _, a := range s.atoms {
		near := int64(a.off) <= at+biasReach && int64(a.off+a.size) >= at-biasReach
		if near && a != without && a.size > 0 && !isTable(a) && !a.scalar() {
			out = append(out, a)
		}
	}
	return out
}

// endingAt returns the atom before the i-th, if it ends there.
func (s *section) endingAt(i int, at int64) []*atom {
	for j := i - 1; j >= 0; j-- {
		if a := s.atoms[j]; a.size > 0 {
			if int64(a.off+a.size) == at && !isTable(a) && !a.scalar() {
				return []*atom{a}
			}
			break
		}
	}
	return nil
}

// scalar says whether a variable is no array: it has the size of a number, some
// instruction reads or writes all of it, and none does anything else with it. Its
// end is not taken, nor is an index added to its address.
func (a *atom) scalar() bool {
	if a.size == 1 {
		return true
	}
	const most = 8
	if a.size > most || a.size&(a.size-1) != 0 || a.global() {
		return false
	}
	if known, ok := a.object.scalars[a]; ok {
		return known
	}
	if a.object.scalars == nil {
		a.object.scalars = map[*atom]bool{}
	}
	a.object.scalars[a] = a.accessedWhole()
	return a.object.scalars[a]
}

// accessedWhole says whether all references to a variable are by instructions that
// read or write all of it.
func (a *atom) accessedWhole() bool {
	accessed := false
	for _, from := range a.object.atoms {
		insns := insnCursor{arch: a.object.arch, code: from.data}
		for i := range from.refs {
			r := &from.refs[i]
			if r.target != a {
				continue
			}
			if from.kind != kindCode || r.landing != 0 || !insns.seek(r.off) || r.width(from, insns.at) != a.size {
				return false
			}
			accessed = true
		}
	}
	return accessed
}

// width is how many bytes an instruction reads or writes where its reference
// leads; 0 where it does not, or that is not known. Where the port does not know
// it, the size of what is there is taken.
func (r *ref) width(from *atom, insn int) uint64 {
	a := from.object.arch
	if a.Effect == nil && (r.access || r.ofAccess(from)) {
		return r.target.size
	}
	if a.AccessReloc == nil || a.Effect == nil || !a.AccessReloc(r.typ, from.data, insn, int(r.off)) {
		return 0
	}
	steps, ok := a.Effect(from.data[insn:])
	if !ok || len(steps) != 1 || !steps[0].Access {
		return 0
	}
	return uint64(steps[0].Size)
}

// position is the index of an atom in its section.
func (s *section) position(a *atom) int {
	i := sort.Search(len(s.atoms), func(i int) bool { return s.atoms[i].off >= a.off })
	for s.atoms[i] != a {
		i++
	}
	return i
}

// around returns the atoms that lie at least in part between two offsets, without
// the i-th.
func (s *section) around(i int, from, to int64) []*atom {
	first := i
	for first > 0 && int64(s.atoms[first-1].off+s.atoms[first-1].size) > from {
		first--
	}
	last := i
	for last+1 < len(s.atoms) && int64(s.atoms[last+1].off) < to {
		last++
	}
	return slices.DeleteFunc(slices.Clone(s.atoms[first:last+1]), func(a *atom) bool { return a == s.atoms[i] || a.size == 0 })
}

// anchor says whether a reference may be an anchor.
func (r *ref) anchor(from *atom) bool {
	h := from.object.arch.Relocs[r.typ]
	_, _, whole := h.Expr.Solve(0, arch.Operands{})
	return from.kind == kindCode && h.Size > 0 && !whole && r.doubtful()
}

// ofAccess says whether a reference tells the page for loads and stores, which
// tell the place in it, and for nothing else.
func (r *ref) ofAccess(from *atom) bool {
	same := func(x ref) bool { return x.target == r.target && x.landing == r.landing }
	return slices.ContainsFunc(from.refs, func(x ref) bool { return same(x) && x.access }) &&
		!slices.ContainsFunc(from.refs, func(x ref) bool { return same(x) && !x.access && x.typ != r.typ })
}

// based says whether a field may be a base to which its instruction adds an
// index: an absolute address in code.
func (r *ref) based(from *atom) bool { return !from.object.pcRelative(r.typ) }

// narrow makes a reference one to something that code does reach by its spot, and
// returns what else that may be. All of it has to lie as it does in the object.
func (r *ref) narrow(s *spot) (others []*atom) {
	all := slices.Concat(s.within, s.perhaps())
	if len(all) == 0 {
		return nil // nothing is done with it
	}
	if !slices.Contains(all, r.target) {
		access := r.access
		r.retarget(all[0])
		r.access = access
	}
	return slices.DeleteFunc(all, func(a *atom) bool { return a == r.target })
}

// referents are what code refers to by a spot, as far as places tell.
func (s *spot) referents() []*atom {
	all := slices.Clone(s.within)
	for _, at := range slices.Concat(s.passed, s.walked) {
		if a, _ := s.section.at(at); a != nil {
			all = appendNew(all, a)
		}
	}
	return all
}

// perhaps returns what may be meant by addresses of a spot that go elsewhere, or
// to which something is added, beside what is meant for sure.
func (s *spot) perhaps() (out []*atom) {
	add := func(a *atom) {
		if a != nil && !slices.Contains(s.within, a) {
			out = appendNew(out, a)
		}
	}
	for _, at := range s.passed {
		a, i := s.section.at(at)
		add(a)
		for _, a := range s.section.endingAt(i, at) {
			add(a)
		}
	}
	for _, at := range s.walked {
		a, _ := s.section.at(at)
		add(a)
		for _, a := range s.section.near(at, a) {
			add(a)
		}
	}
	return out
}

// at returns the last atom that begins before a place, or there, and its index.
func (s *section) at(at int64) (a *atom, i int) {
	for j := range s.atoms {
		if int64(s.atoms[j].off) <= at {
			a, i = s.atoms[j], j
		}
	}
	return a, i
}
