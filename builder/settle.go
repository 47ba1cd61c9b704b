// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ulpatch/ulpatch/arch"
)

const mostReadings = 3 // that a refusal names

// settle makes all readings of a reference lead to one address, or refuses it.
// Where a literal has to stay in the image for that, p.again is set: what was
// resolved before may have carried it.
func (p *patch) settle(from *atom, i int, l *location) {
	r := &from.refs[i]
	others := r.others(from)
	switch {
	case !r.open(from) || from.kind != kindCode:
	case r.anchor(from):
		if s := from.follow().spots[i]; s != nil {
			others = r.narrow(s)
		}
	default:
		if a := from.meaning(i); a != nil {
			r.retarget(a)
			return
		}
		if from.walks(i) {
			others = r.target.section.near(int64(r.target.off)+r.landing, r.target)
		}
	}
	others = slices.DeleteFunc(others, func(a *atom) bool { return a.labelsOf() != nil && a.labelsOf() != from && a.labelsOf() != from.parent })
	var apart []string
	for _, other := range others {
		at, here := p.stays(r.target, l)
		too, there := p.stays(other, l)
		distance := arch.Addr(other.off - r.target.off)
		switch {
		case here && there && too-at == distance:
		case !here && !there:
			p.carry(other)
			p.join(r.target, other)
		case here && !there && p.keep(other, at+distance, l):
		case there && !here && p.keep(r.target, too-distance, l):
		case l.unit.meant(from, i, other):
		case here && l.unit.isNew(other) && other.kind == kindTLS:
			p.refuseThreadLocal(other)
		case there && l.unit.isNew(r.target) && r.target.kind == kindTLS:
			p.refuseThreadLocal(r.target)
		default:
			apart = append(apart, p.reading(r, other))
		}
	}
	if more := len(apart) - mostReadings; more > 0 {
		apart = append(apart[:mostReadings], fmt.Sprintf("%d more", more))
	}
	if len(apart) > 0 {
		p.refuse(CodeAmbiguous, from.place(), from.name, "build the objects with -fdata-sections",
			"+%#x refers to %s or to %s, which lie side by side in the object and would not in the process", r.off, p.reading(r, r.target), strings.Join(apart, " or to "))
	}
}

// labelsOf is the function of which a table has labels; nil where it is none.
// Nobody else uses it.
func (a *atom) labelsOf() *atom {
	if len(a.refs) == 0 || a.global() || a.refs[0].target == nil || a.refs[0].target.kind != kindCode || a.refs[0].landing == 0 {
		return nil
	}
	return a.refs[0].target
}

// reading describes a reference as one to a.
func (p *patch) reading(r *ref, a *atom) string {
	as := ref{target: a, landing: r.landing + int64(r.target.off) - int64(a.off)}
	if as.landing == int64(a.size) && a.size > 0 {
		return "the end of " + a.String()
	}
	return as.referent()
}

// stays tells where the image has what the payload does not carry.
func (p *patch) stays(f *atom, l *location) (arch.Addr, bool) {
	if anonymous(f) {
		at, kept := p.kept[f]
		return at, kept
	}
	if l.unit.constants[f] != nil {
		return 0, false
	}
	_, at, ok := l.orig(f)
	return at, ok
}

// keep binds a literal to the image, if that has the same one at an address.
func (p *patch) keep(f *atom, at arch.Addr, l *location) bool {
	if !anonymous(f) || f.kind != kindLiteral || l.prover == nil {
		return false
	}
	c := newComparer(l.unit.pairs)
	for _, o := range l.object.atoms {
		if o.kind != kindLiteral || o.size != f.size || l.unit.infected(f, map[*atom]bool{}) != nil {
			continue
		}
		if known, ok := l.addr[o]; ok && known == at && l.proved(o) && c.sameLiteral(o, f) {
			p.kept[f], p.again = at, true
			return true
		}
	}
	return false
}

// join notes that two atoms are carried at the distance that they have.
func (p *patch) join(a, b *atom) {
	x, y := p.group(a), p.group(b)
	if x != y {
		p.joined[y] = x
	}
}

// group is the representative of all that is laid out with an atom.
func (p *patch) group(a *atom) *atom {
	for p.joined[a] != nil {
		a = p.joined[a]
	}
	return a
}

// meant says whether the target of a reference is what is meant, and not other:
// the same instruction of the original function refers to the same thing, where
// the other one is elsewhere.
func (u *unit) meant(from *atom, i int, other *atom) bool {
	o := u.pairs.toOrig[from]
	if o == nil || from.kind != kindCode || from.refs[i].anchor(from) { // an anchor may mean several at once
		return false
	}
	j, aligned := u.aligned(o, from)[i]
	if !aligned {
		return false
	}
	x, y := &o.refs[j], &from.refs[i]
	if x.landing != y.landing || x.target == nil {
		return false
	}
	if !anonymous(y.target) && u.pairs.toOrig[y.target] != x.target {
		return false
	}
	if anonymous(y.target) && (!anonymous(x.target) || !newComparer(u.pairs).sameLiteral(x.target, y.target)) {
		return false
	}
	if anonymous(other) {
		return !slices.ContainsFunc(x.others(o), func(a *atom) bool {
			return anonymous(a) && a.off-x.target.off == other.off-y.target.off && newComparer(u.pairs).sameLiteral(a, other)
		})
	}
	before := u.pairs.toOrig[other]
	return before == nil || before.section != x.target.section || before.off-x.target.off != other.off-y.target.off
}

// meaning tells what a reference means, where what the code does with it proves
// that; nil where it does not.
func (a *atom) meaning(i int) *atom {
	if a.kind != kindCode {
		return nil
	}
	return a.follow().means[i]
}

// walks says whether code may add to the address that a reference tells, as a loop
// does; a function that cannot be followed may.
func (a *atom) walks(i int) bool {
	f := a.follow()
	return f.walked == nil || f.walked[i]
}

// follow follows the addresses of a function, once.
func (a *atom) follow() followed {
	known, done := a.object.followed[a]
	if !done {
		if a.object.followed == nil {
			a.object.followed = map[*atom]followed{}
		}
		known = meanings(a)
		a.object.followed[a] = known
	}
	return known
}

// retarget makes a reference one to another atom of the section, at the same
// place, and known to mean that.
func (r *ref) retarget(a *atom) {
	delta := int64(r.target.off) - int64(a.off)
	r.target, r.addend, r.landing, r.access = a, r.addend+delta, r.landing+delta, true
}

func (u *unit) aligned(o, f *atom) alignment {
	if a, known := u.alignments[f]; known {
		return a
	}
	a := align(o, f)
	if u.alignments == nil {
		u.alignments = map[*atom]alignment{}
	}
	u.alignments[f] = a
	return a
}
