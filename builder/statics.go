// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// statics pairs static locals: of each base name, by the functions that refer
// to them and in which order. What an inlined callee refers to counts for its
// caller. Where the order leaves a doubt, nothing is paired and the candidates
// are kept.
func (p *pairing) statics(orig, fixed *object) {
	ambiguous := p.ambiguous
	for paired := -1; paired < len(p.toOrig); {
		paired = len(p.toOrig) // one that was paired tells what it refers to itself
		p.ambiguous = maps.Clone(ambiguous)
		os, fs := staticGroups(orig, p.toFixed), staticGroups(fixed, p.toOrig)
		for _, base := range sortedKeys(fs) {
			if len(os[base]) > 0 {
				p.staticGroup(orig, os[base], fs[base])
			}
		}
	}
}

func staticGroups(o *object, paired map[*atom]*atom) map[string][]*atom {
	groups := map[string][]*atom{}
	for _, a := range o.atoms {
		if isStatic(a) && paired[a] == nil {
			base, _ := staticBase(a.name)
			groups[base] = append(groups[base], a)
		}
	}
	return groups
}

// vote says that functions suggest o for f.
type ballot struct {
	forFixed, forOrig map[*atom][]*atom
	doubt             map[*atom]bool // of the fixed object's atoms
}

func (b *ballot) vote(o, f *atom) {
	if !slices.Contains(b.forFixed[f], o) {
		b.forFixed[f] = append(b.forFixed[f], o)
	}
	if !slices.Contains(b.forOrig[o], f) {
		b.forOrig[o] = append(b.forOrig[o], f)
	}
}

func (p *pairing) staticGroup(orig *object, os, fs []*atom) {
	b := &ballot{map[*atom][]*atom{}, map[*atom][]*atom{}, map[*atom]bool{}}
	for _, fn := range orig.atoms {
		if other := p.toFixed[fn]; other != nil {
			p.askUser(b, fn, other, os, fs)
		}
	}
	var restO, restF []*atom
	for _, f := range fs {
		switch c := b.forFixed[f]; {
		case len(c) == 1 && len(b.forOrig[c[0]]) == 1:
			p.pair(c[0], f)
		case len(c) > 0 || b.doubt[f]:
			p.ambiguous[f] = candidates(c, os)
		default:
			restF = append(restF, f)
		}
	}
	for _, o := range os {
		if p.toFixed[o] == nil && len(b.forOrig[o]) == 0 {
			restO = append(restO, o)
		}
	}
	// Nobody that exists on both sides refers to any of these.
	if len(restO) == 1 && len(restF) == 1 && restO[0].size == restF[0].size {
		if !p.hasUser(orig, restO[0]) {
			p.pair(restO[0], restF[0])
		}
	}
}

// hasUser says whether something that is in both objects refers to o.
func (p *pairing) hasUser(orig *object, o *atom) bool {
	for _, fn := range orig.atoms {
		if fn != o && p.toFixed[fn] != nil {
			if sure, unsure := p.reach(fn, p.toFixed, []*atom{o}); len(sure)+len(unsure) > 0 {
				return true
			}
		}
	}
	return false
}

func candidates(voted, all []*atom) []*atom {
	if len(voted) > 0 {
		return voted
	}
	return all
}

// askUser lets one function (or variable) that is in both objects vote.
func (p *pairing) askUser(b *ballot, o, f *atom, os, fs []*atom) {
	usesO, maybeO := p.reach(o, p.toFixed, os)
	usesF, maybeF := p.reach(f, p.toOrig, fs)
	if len(maybeO)+len(maybeF) > 0 { // which of them are used shows in no relocation
		for _, y := range slices.Concat(usesF, maybeF) {
			b.doubt[y] = true
		}
		return
	}
	if len(usesO) == 0 || len(usesF) == 0 {
		return
	}
	if sameShape(o, f) {
		b.voteInPlace(o, f, os, fs)
		for _, y := range usesF {
			if len(b.forFixed[y]) == 0 {
				b.doubt[y] = true
			}
		}
		return
	}
	switch {
	case len(usesO) == 1 && len(usesF) == 1:
		b.vote(usesO[0], usesF[0])
	case sameUses(o, f, usesO, usesF):
		for i := range usesO {
			b.vote(usesO[i], usesF[i])
		}
	default:
		restO, restF := b.voteAligned(o, f, usesO, usesF)
		for _, y := range restF {
			x, sure := onlyLike(y, restO, restF)
			if sure = sure && (x == nil || rank(x, usesO) == rank(y, usesF)); sure && x != nil {
				b.vote(x, y)
			} else if !sure {
				b.doubt[y] = true
			}
		}
	}
}

// voteInPlace votes for what the same references of two functions with the same
// code refer to, or the same distances from an anchor.
func (b *ballot) voteInPlace(o, f *atom, os, fs []*atom) {
	for i := range o.refs {
		if slices.Contains(os, o.refs[i].target) && slices.Contains(fs, f.refs[i].target) {
			b.vote(o.refs[i].target, f.refs[i].target)
		}
		if !f.refs[i].anchor(f) || !o.refs[i].anchor(o) {
			continue
		}
		s, z := o.follow().spots[i], f.follow().spots[i]
		if s == nil || z == nil {
			continue
		}
		for _, x := range s.referents() {
			for _, y := range z.referents() {
				if int64(x.off)-s.at == int64(y.off)-z.at && slices.Contains(os, x) && slices.Contains(fs, y) {
					b.vote(x, y)
				}
			}
		}
	}
}

// voteAligned votes for what the same instructions of two versions of a function
// refer to, and returns what is left on both sides.
func (b *ballot) voteAligned(o, f *atom, usesO, usesF []*atom) (restO, restF []*atom) {
	same := ballot{map[*atom][]*atom{}, map[*atom][]*atom{}, nil}
	for i, j := range align(o, f) {
		if x, y := o.refs[j].target, f.refs[i].target; slices.Contains(usesO, x) && slices.Contains(usesF, y) {
			same.vote(x, y)
		}
	}
	for _, y := range usesF {
		switch c := same.forFixed[y]; {
		case len(c) == 1 && (!sameNumber(y, usesO, usesF) || rank(c[0], usesO) != rank(y, usesF)) && !anchored(o, f, c[0], y, slices.Concat(usesO, usesF), !sameNumber(y, usesO, usesF)):
			// One came or went, or they are in another order. Code that was put in beside code that begins or ends
			// like it is aligned as well with the one as with the other.
			b.doubt[y] = true
		case len(c) == 1 && len(same.forOrig[c[0]]) == 1:
			b.vote(c[0], y)
		case len(c) > 0:
			b.doubt[y] = true
		default:
			restF = append(restF, y)
		}
	}
	for _, x := range usesO {
		if len(same.forOrig[x]) == 0 {
			restO = append(restO, x)
		}
	}
	return restO, restF
}

// sameNumber tells whether as many of os as of fs have size and content of y.
func sameNumber(y *atom, os, fs []*atom) bool {
	n := 0
	for _, x := range os {
		if x.like(y) {
			n++
		}
	}
	for _, z := range fs {
		if z.like(y) {
			n--
		}
	}
	return n == 0 || !slices.ContainsFunc(os, y.like)
}

// rank is how many of all before a are like it.
func rank(a *atom, all []*atom) (n int) {
	for _, x := range all[:slices.Index(all, a)] {
		if x.like(a) {
			n++
		}
	}
	return n
}

// like tells whether two atoms have the same kind, size and content.
func (a *atom) like(b *atom) bool {
	return a.size == b.size && a.kind == b.kind && bytes.Equal(a.data, b.data)
}

// onlyLike finds the one of os that has size and content of y. It is not sure
// where several have, or where y is not the only one of fs that is so.
func onlyLike(y *atom, os, fs []*atom) (x *atom, sure bool) {
	for _, z := range os {
		if y.like(z) {
			if x != nil {
				return nil, false
			}
			x = z
		}
	}
	for _, z := range fs {
		if z != y && y.like(z) {
			return nil, x == nil
		}
	}
	if x == nil {
		for _, z := range os {
			if z.size == y.size {
				return nil, false
			}
		}
	}
	return x, true
}

// reach returns those of members that a refers to, in the order of the
// references, itself or through what only one of the objects has; and those that
// it may refer to by their distance from an anchor.
func (p *pairing) reach(a *atom, paired map[*atom]*atom, members []*atom) (found, perhaps []*atom) {
	seen := map[*atom]bool{a: true}
	var walk func(*atom)
	walk = func(x *atom) {
		for i := range x.refs {
			t := x.refs[i].target
			sure, unsure := []*atom{t}, []*atom(nil)
			if r := &x.refs[i]; r.anchor(x) && len(r.others(x)) > 0 {
				if s := x.follow().spots[i]; s != nil {
					sure = s.referents()
				} else {
					sure, unsure = nil, append(r.others(x), t)
				}
			}
			for _, m := range unsure {
				if slices.Contains(members, m) {
					perhaps = appendNew(perhaps, m)
				}
			}
			for _, t := range sure {
				if t == nil || seen[t] {
					continue
				}
				seen[t] = true
				if slices.Contains(members, t) {
					found = append(found, t)
				} else if paired[t] == nil || t.parent == x {
					walk(t)
				}
			}
		}
	}
	walk(a)
	return found, perhaps
}

// sameShape says whether two functions differ at most in what their references
// refer to.
func sameShape(o, f *atom) bool {
	if o.size != f.size || len(o.refs) != len(f.refs) {
		return false
	}
	for i := range o.refs {
		if o.refs[i].off != f.refs[i].off || o.refs[i].typ != f.refs[i].typ {
			return false
		}
	}
	_, differ := firstDifference(o, f)
	return !differ
}

// sameUses says whether the uses, in their order, are made by the same
// instructions, and each by others than the rest. Order alone is not enough: it
// changes when blocks of the source do.
func sameUses(o, f *atom, usesO, usesF []*atom) bool {
	if len(usesO) != len(usesF) {
		return false
	}
	seen := map[string]bool{}
	for i := range usesO {
		x, y := signature(o, usesO[i]), signature(f, usesF[i])
		if x == "" || x != y || seen[x] {
			return false
		}
		seen[x] = true
	}
	return true
}

// signature is the instructions of a function that refer to an atom, without
// what is relocated in them.
func signature(fn, to *atom) string {
	var all []string
	code := masked(fn)
	insns := insnCursor{arch: fn.object.arch, code: fn.data}
	for i := range fn.refs {
		if fn.refs[i].target != to {
			continue
		}
		if !insns.seek(fn.refs[i].off) {
			return ""
		}
		in, err := fn.object.arch.Decode(fn.data[insns.at:], 0)
		if err != nil || in.Len > len(code)-insns.at {
			return ""
		}
		all = append(all, string(code[insns.at:insns.at+in.Len]))
	}
	slices.Sort(all)
	return strings.Join(all, "/")
}
