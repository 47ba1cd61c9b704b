// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import "debug/elf"

// A reference through a section's symbol to the place where one variable ends
// and the next begins may mean either: the address behind the last element of
// an array is often taken.

// before returns the atom that ends where the reference lands, at the start of
// its target, if the reference may mean that as well: the function has to refer
// to it otherwise too.
func before(from *atom, r *ref) *atom {
	t := r.target
	if t == nil || r.landing != 0 || r.sym == nil || r.sym.typ != elf.STT_SECTION || t.kind == kindCode || len(t.section.atoms) < 2 || t.section.pieces != nil || isTable(t) {
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

// checkBorder refuses a reference of the payload whose two readings lead to
// different addresses.
func (p *patch) checkBorder(from *atom, r *ref, l *location) {
	prev := before(from, r)
	if prev == nil {
		return
	}
	_, at, in := l.orig(r.target)
	o, end, prevIn := l.orig(prev)
	if in && prevIn && uint64(end)+o.size == uint64(at) {
		return
	}
	p.refuse(CodeAmbiguous, from.place(), from.name, "build the objects with -fdata-sections",
		"+%#x refers to the end of %s or to the start of %s", r.off, prev, r.target)
}
