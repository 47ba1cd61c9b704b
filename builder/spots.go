// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"slices"

	"github.com/ulpatch/ulpatch/arch"
)

// Where an instruction has no room for an address, one reference tells a page and
// others the place in it. gcc computes one such address for several variables and
// reaches each by its distance from there, which shows in no relocation (section
// anchors), and clang does with variables that it merged. So such a reference may
// mean several variables, and what they are is known only if all is that the code
// does with the address.

// spot is a place that references tell by parts, and what is done with its address.
// References to the upper part share one; each to a lower part has its own, for of
// two that tell the same place one may mean the end of a variable, and the other
// the next one.
type spot struct {
	section *section
	at      int64   // offset in the section
	lower   []*spot // of one that is the upper part: those that it was joined with
	within  []*atom // what is read or written there, or behind or before it, for sure
	passed  []int64 // places whose address goes to where nothing is followed
	walked  []int64 // places to whose address something is added that is not known
	lost    bool    // something else is done with it
}

// whole is all that is done with the addresses of which a spot is a part.
func (s *spot) whole() *spot {
	all := *s
	for _, low := range s.lower {
		all.lost = all.lost || low.lost
		for _, a := range low.within {
			all.within = appendNew(all.within, a)
		}
		for _, at := range low.passed {
			all.passed = appendNew(all.passed, at)
		}
		for _, at := range low.walked {
			all.walked = appendNew(all.walked, at)
		}
	}
	return &all
}

// origins is a set of references of which a value was made, by its index in
// tracer.sets; 0 is the empty one.
type origins int

type originSet struct {
	refs []int // sorted
	with map[origins]origins
}

// findSpots notes which references tell a part of an address.
func (t *tracer) findSpots() {
	t.astray = map[*section]bool{}
	t.sets = []originSet{{}}
	t.spotOf = make([]*spot, len(t.fn.refs))
	for i := range t.fn.refs {
		r := &t.fn.refs[i]
		if r.target == nil || r.target.kind == kindCode || !r.partial(t.fn) {
			continue
		}
		s := &spot{section: r.target.section, at: t.place(i)}
		if !t.told(i).part.lower {
			for j := range i {
				if t.sameSpot(j, s) && !t.told(j).part.lower {
					s = t.spotOf[j]
				}
			}
		}
		t.spotOf[i] = s
	}
}

// partial says whether a reference tells only a part of an address.
func (r *ref) partial(from *atom) bool {
	h := from.object.arch.Relocs[r.typ]
	_, _, whole := h.Expr.Solve(0, arch.Operands{})
	return h.Size > 0 && !whole
}

func (t *tracer) sameSpot(i int, s *spot) bool {
	return t.spotOf[i] != nil && s != nil && t.spotOf[i].section == s.section && t.spotOf[i].at == s.at
}

// origin is the reference that stands for all that share a spot.
func (t *tracer) origin(i int) int {
	if t.spotOf[i] == nil {
		return i
	}
	return slices.Index(t.spotOf, t.spotOf[i])
}

// madeOf are the references of which a value was made.
func (t *tracer) madeOf(v value) origins {
	if !v.known {
		return v.of
	}
	if v.ref < 0 {
		return 0
	}
	return t.setOf([]int{t.origin(v.ref)})
}

// setOf is the index of a sorted set.
func (t *tracer) setOf(refs []int) origins {
	n := slices.IndexFunc(t.sets, func(s originSet) bool { return slices.Equal(s.refs, refs) })
	if n < 0 {
		n = len(t.sets)
		t.sets = append(t.sets, originSet{refs: refs})
	}
	return origins(n)
}

func (t *tracer) both(a, b origins) origins {
	switch {
	case a == b || b == 0:
		return a
	case a == 0:
		return b
	case a > b:
		a, b = b, a
	}
	if known, ok := t.sets[a].with[b]; ok {
		return known
	}
	refs := slices.Concat(t.sets[a].refs, t.sets[b].refs)
	slices.Sort(refs)
	out := t.setOf(slices.Compact(refs))
	if t.sets[a].with == nil {
		t.sets[a].with = map[origins]origins{}
	}
	t.sets[a].with[b] = out
	return out
}

// keep lets a value that is not known keep what it was made of.
func (t *tracer) keep(v value, from ...value) value {
	if v.known {
		return v
	}
	for _, w := range from {
		v.of = t.both(v.of, t.madeOf(w))
	}
	return v
}

// use notes a variable that is read or written at an address.
func (t *tracer) use(ref int, a *atom) {
	if p := t.spotOf[ref]; p != nil {
		p.within = appendNew(p.within, a)
		return
	}
	t.used[ref] = appendNew(t.used[ref], a)
}

func appendNew[T comparable](all []T, one T) []T {
	if slices.Contains(all, one) {
		return all
	}
	return append(all, one)
}

// stray notes that something unknown is added to an address, or done with it.
func (t *tracer) stray(v value) {
	switch {
	case !t.noting || v.number():
	case v.known && t.spotOf[v.ref] == nil:
		t.walked[v.ref] = true
	case v.pointer():
		p := t.spotOf[v.ref]
		p.walked = appendNew(p.walked, p.at+v.lo)
	case v.known && v.part.lower: // whatever page it is added to
		t.spotOf[v.ref].lost = true
		t.astray[t.spotOf[v.ref].section] = true
	case v.known:
		t.spotOf[v.ref].lost = true
	default:
		t.lose(v)
	}
}

// pass notes that other code gets an address. That is of a variable, or the end
// of one. Half of an address was left over in a register.
func (t *tracer) pass(v value) {
	switch {
	case v.number() || v.known && (t.spotOf[v.ref] == nil || v.part != part{}):
	case v.fixed():
		p := t.spotOf[v.ref]
		p.passed = appendNew(p.passed, p.at+v.lo)
	case v.known:
		t.stray(v)
	default:
		for _, ref := range t.sets[v.of].refs {
			if p := t.spotOf[ref]; p != nil {
				p.lost = true
			}
		}
	}
}

// border notes that an address is compared with another. If that one is moved
// along a variable this one is a place in it, or its end.
func (t *tracer) border(moved, v value) {
	if v.known && v.moves {
		return // what it is moved along shows where it is used
	}
	if !v.fixed() || t.spotOf[v.ref] == nil || !moved.pointer() || !moved.moves || t.fn.refs[moved.ref].target.section != t.spotOf[v.ref].section {
		t.pass(v)
		return
	}
	from := t.place(moved.ref)
	var along []*atom
	for _, a := range t.spotOf[v.ref].section.atoms {
		if a.size > 0 && a.touches(from+moved.lo) && a.touches(from+moved.nextLo) && a.touches(t.place(v.ref)+v.lo) {
			along = append(along, a)
		}
	}
	if len(along) != 1 {
		t.pass(v)
		return
	}
	t.use(v.ref, along[0])
}

// touches says whether a place of its section is in an atom, or its end.
func (a *atom) touches(at int64) bool { return at >= int64(a.off) && at <= int64(a.off+a.size) }

// leave notes which addresses go along where a function is left: to one that
// wants arguments, back with results, or to a part of the function that lies
// elsewhere and may use all.
func (t *tracer) leave(m *machine, one *instruction) {
	for i := one.first; i < one.end; i++ {
		if to := t.fn.refs[i].target; to != nil && (to.parent != nil || t.fn.parent != nil || t.fn.refs[i].landing != 0) {
			t.loseAll(m)
			return
		}
	}
	if one.insn.Kind == arch.Return {
		t.handOver(m, t.fn.object.arch.Result)
		return
	}
	t.handOver(m, t.fn.object.arch.Argument)
}

// loseAll gives up everything.
func (t *tracer) loseAll(m *machine) {
	for _, v := range m.regs {
		t.lose(v)
	}
	t.lose(value{of: m.frame})
}

// lose gives up a value.
func (t *tracer) lose(v value) {
	if !t.noting {
		return
	}
	of := t.madeOf(v)
	for _, ref := range t.sets[of].refs {
		if s := t.spotOf[ref]; s != nil {
			s.lost = true
		} else {
			t.walked[ref] = true
		}
	}
}
