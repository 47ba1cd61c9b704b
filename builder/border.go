// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"slices"
)

// A reference through a section's symbol tells a place and not what is meant. The
// place where one variable ends and the next begins may mean either: the address
// behind the last element of an array is often taken. And the base of an array
// that is indexed from 1, or from 'a', lies before it, in something else.
//
// That matters only where the payload would set the candidates apart. Two that
// the image has lie there as they do in the object, or they do not; two that are
// carried are laid out as they were. What is left is decided by evidence or
// refused; see settle.go.

// before returns the atom that ends where the reference lands, at the start of
// its target, if the reference may mean that as well: the function has to refer
// to it otherwise too.
func before(from *atom, r *ref) *atom {
	t := r.target
	if t == nil || r.landing != 0 || r.sym == nil || !r.sym.label() || t.kind == kindCode || len(t.section.atoms) < 2 || t.section.merged() || isTable(t) {
		return nil
	}
	for _, p := range t.section.atoms {
		if p.off+p.size == t.off && p.size > 0 && p != t && !isTable(p) && refersTo(from, p) {
			return p
		}
	}
	return nil
}

// isTable says whether a literal is a jump table: nobody takes the address of
// its end, and its start has to be referred to.
func isTable(a *atom) bool {
	return a.kind == kindLiteral && len(a.refs) > 0 && a.refs[0].off == 0 && a.refs[0].target != nil && a.refs[0].target.kind == kindCode
}

func refersTo(from, to *atom) bool {
	for i := range from.refs {
		if from.refs[i].target == to {
			return true
		}
	}
	return false
}

// sameBorder says whether both readings of two such references agree.
func (c *comparer) sameBorder(o, f *atom, x, y *ref) bool {
	if y.anchor(f) && !c.sameSurroundings(x.others(o), y.others(f), int64(x.target.off), int64(y.target.off)) && !c.sameReach(o.spot(x), f.spot(y)) {
		return false
	}
	p, q := before(o, x), before(f, y)
	switch {
	case p == nil && q == nil:
		return true
	case p == nil || q == nil || p.size != q.size:
		return false
	case anonymous(p) && anonymous(q):
		return c.sameLiteral(p, q)
	}
	return c.pairs.toOrig[q] == p
}

// sameReach says whether code reaches the same by two anchors, and does the same
// with it.
func (c *comparer) sameReach(x, y *spot) bool {
	if x == nil || y == nil {
		return false
	}
	same := func(xs, ys []int64) bool {
		return slices.EqualFunc(xs, ys, func(p, q int64) bool { return p-x.at == q-y.at })
	}
	return same(x.passed, y.passed) && same(x.walked, y.walked) &&
		c.sameSurroundings(x.within, y.within, x.at, y.at) && c.sameSurroundings(x.perhaps(), y.perhaps(), x.at, y.at)
}

// spot is what a function does with the address of which a reference tells a
// part; nil where that is not known.
func (a *atom) spot(r *ref) *spot {
	for i := range a.refs {
		if &a.refs[i] == r {
			return a.follow().spots[i]
		}
	}
	return nil
}

// sameSurroundings says whether the variables within reach of an anchor are the
// same, at the same distances from it.
func (c *comparer) sameSurroundings(os, fs []*atom, x, y int64) bool {
	return slices.EqualFunc(os, fs, func(o, f *atom) bool {
		if int64(o.off)-x != int64(f.off)-y || o.size != f.size {
			return false
		}
		if anonymous(o) && anonymous(f) {
			return c.sameLiteral(o, f)
		}
		return c.pairs.toOrig[f] == o
	})
}
