// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"slices"
	"sort"
	"strings"
)

// pairing tells which atom of the fixed object is which of the original one.
// Literals are not in it: they are what they contain.
type pairing struct {
	toOrig, toFixed map[*atom]*atom
	// ambiguous has, for an atom of the fixed object, those of the original one
	// that it may be. It is an error once the patch refers to it.
	ambiguous map[*atom][]*atom
}

// correlate pairs by name first, then static locals by who refers to them, then
// compiler-made clones by content. Clones (.part, .isra, .constprop) pair by
// their full name: whatever an unchanged caller calls in both objects at one
// site is the same thing to it, and a caller for which that is not so has
// changed and is replaced.
func correlate(orig, fixed *object) *pairing {
	p := &pairing{toOrig: map[*atom]*atom{}, toFixed: map[*atom]*atom{}, ambiguous: map[*atom][]*atom{}}
	p.byName(orig, fixed)
	p.bySection(orig, fixed)
	p.statics(orig, fixed)
	p.clones(orig, fixed)
	return p
}

func (p *pairing) pair(o, f *atom) {
	if p.toOrig[f] == nil && p.toFixed[o] == nil {
		p.toOrig[f], p.toFixed[o] = o, f
	}
}

// isStatic says whether an atom is named like a static local of a function: by
// gcc (count.3) or clang (parse.count, parse.count.3). Which of several has which
// number, or none, means nothing.
func isStatic(a *atom) bool {
	if a.kind == kindCode || a.global() || a.name == "" {
		return false
	}
	return strings.IndexByte(a.name, '.') > 0
}

func (p *pairing) byName(orig, fixed *object) {
	for _, f := range fixed.atoms {
		if isStatic(f) {
			continue
		}
		for _, s := range f.symbols {
			os, fs := orig.byName[s.name], fixed.byName[s.name]
			if len(os) == 1 && len(fs) == 1 && (os[0].kind == kindCode) == (f.kind == kindCode) {
				p.pair(os[0], f)
			} else if len(os) > 0 {
				p.ambiguous[f] = os
			}
		}
		if p.toOrig[f] != nil {
			delete(p.ambiguous, f)
		}
	}
}

// bySection pairs what has no name: where both objects have as many sections of
// a name, and these as many atoms, the same one is at the same place.
func (p *pairing) bySection(orig, fixed *object) {
	os, fs := sectionsByName(orig), sectionsByName(fixed)
	for _, name := range sortedKeys(fs) {
		if len(os[name]) != len(fs[name]) {
			continue
		}
		for i, sec := range fs[name] {
			other := os[name][i]
			if len(other.atoms) != len(sec.atoms) {
				continue
			}
			for j, f := range sec.atoms {
				if o := other.atoms[j]; len(o.symbols)+len(f.symbols) == 0 && o.kind == f.kind && !anonymous(f) {
					p.pair(o, f)
				}
			}
		}
	}
}

func sectionsByName(o *object) map[string][]*section {
	m := map[string][]*section{}
	for _, sec := range o.sections {
		if sec != nil {
			m[sec.name] = append(m[sec.name], sec)
		}
	}
	return m
}

// clones pairs functions like foo.constprop.3 that are left, where exactly one
// of the same family has the same content.
func (p *pairing) clones(orig, fixed *object) {
	left := func(o *object, paired map[*atom]*atom) map[string][]*atom {
		m := map[string][]*atom{}
		for _, a := range o.atoms {
			if a.kind != kindCode || paired[a] != nil || a.global() || a.parent != nil {
				continue
			}
			if base, numbered := staticBase(a.name); numbered {
				m[base] = append(m[base], a)
			}
		}
		return m
	}
	os := left(orig, p.toFixed)
	c := newComparer(p)
	families := left(fixed, p.toOrig)
	for _, base := range sortedKeys(families) {
		fs := families[base]
		equal := func(o, f *atom) bool { return c.difference(o, f) == nil }
		for _, f := range fs {
			match := slices.DeleteFunc(slices.Clone(os[base]), func(o *atom) bool { return !equal(o, f) })
			if len(match) != 1 {
				continue
			}
			back := slices.DeleteFunc(slices.Clone(fs), func(x *atom) bool { return !equal(match[0], x) })
			if len(back) == 1 {
				p.pair(match[0], f)
			}
		}
	}
}

// sortedKeys returns the keys of m in order, so that nothing depends on the
// order of a map.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
