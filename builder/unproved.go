// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"slices"
	"strings"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format"
)

// Objects that were compiled again with other flags, say -ffunction-sections, are
// not what an image was linked from, so that nothing proves where their names are
// in it and that its other code goes with the new one. Where that is wanted all
// the same (Options.Unproved), names are bound by the image's symbols alone, and
// what these do not tell for sure is refused.

// unprovedCost is what is lost, for the warning.
const unprovedCost = "names are bound by symbol alone; a copy of a changed function that the image has inlined elsewhere, or code that relies on what an old function leaves alone (-fipa-ra), is not seen"

// UnprovedReport is a unit that an image was patched from without a proof.
type UnprovedReport struct {
	Unit      string   `json:"unit"`
	Reason    string   `json:"reason"`    // the likeliest
	First     string   `json:"first"`     // difference
	Functions []string `json:"functions"` // that are redirected and were not proved
}

// trust takes a unit that is not proved for a part of the image.
func (d *diff) trust(m *image, l *location) {
	l.unproved = true
	d.member[l.unit] = append(d.member[l.unit], m.name)
	d.warn("%s: %s: not proved: %s (%s): %s", m.name, l.unit.name, l.likeliest(), l.firstProblem(), unprovedCost)
}

// reportUnproved lists what was patched without a proof, and marks the bundle.
func (d *diff) reportUnproved(p *patch) {
	for _, l := range p.places {
		if !l.unproved || len(l.unit.changed) == 0 {
			continue
		}
		r := UnprovedReport{Unit: l.unit.name, Reason: l.likeliest(), First: l.firstProblem(), Functions: []string{}}
		for _, s := range p.sites {
			if o := l.unit.pairs.toOrig[s.new]; s.loc == l && !l.proved(o) {
				r.Functions = append(r.Functions, s.old.name)
			}
		}
		p.report.Unproved = append(p.report.Unproved, r)
		d.critical(format.FeatureUnproved)
	}
}

// critical adds a feature that a reader of the bundle has to know.
func (d *diff) critical(feature string) {
	m := &d.result.Manifest
	if !slices.Contains(m.Critical, feature) {
		m.Critical = append(m.Critical, feature)
		slices.Sort(m.Critical)
	}
}

const unprovedAdvice = "build the objects as the image was built"

// unsure refuses a reference of new code to something of a unit that is not
// proved, where the image's symbols do not tell it for sure.
func (p *patch) unsure(o *atom, at arch.Addr, l *location) bool {
	if !l.unproved || l.proved(o) && (o.kind == kindCode || !isStatic(o) || l.usedByProved(o)) {
		return false
	}
	place := o.place()
	switch {
	case o.kind == kindCode && isClone(o.name):
		p.refuse(CodeImageMismatch, place, o.name, unprovedAdvice, "a clone of a function, which is not proved: it may take other parameters in the image")
	case o.kind != kindCode && isStatic(o):
		p.refuse(CodeAmbiguous, place, o.name, unprovedAdvice, "the image is not proved to have been linked from this object, and another static local may have this name in it")
	case o.kind != kindCode:
		p.refuse(CodeImageMismatch, place, o.name, unprovedAdvice, "the image has another initial value, or another size: %s", l.problem[o])
	case p.imageSize(o, at) == 0:
		p.refuse(CodeImageMismatch, place, o.name, unprovedAdvice, "the image has no symbol that tells how long it is")
	default:
		return false
	}
	return true
}

// usedByProved says whether code that is proved refers to an atom.
func (l *location) usedByProved(o *atom) bool {
	for _, a := range l.object.atoms {
		if a.kind == kindCode && l.proved(a) && refersTo(a, o) {
			return true
		}
	}
	return false
}

// isClone says whether a compiler made a function out of another, perhaps with
// other parameters.
func isClone(name string) bool {
	for _, part := range []string{".isra.", ".constprop.", ".part."} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// imageSize is the size that the image's symbols give a function.
func (p *patch) imageSize(o *atom, at arch.Addr) uint64 {
	for _, s := range p.image.at(at) {
		if s.typ == elf.STT_FUNC && o.called(s.name) {
			return s.size
		}
	}
	return 0
}

// asInImage is an original function as the image's symbols describe it: its size,
// and its parts, which lie where l then says.
func (p *patch) asInImage(l *location, o *atom, at arch.Addr) *atom {
	a := *o
	a.size, a.colds = p.imageSize(o, at), nil
	for _, name := range sortedKeys(p.image.named) {
		if base, cold := coldBase(name); !cold || base != o.name {
			continue
		}
		for _, s := range p.image.named[name] {
			part := &atom{object: o.object, kind: kindCode, name: name, size: s.size}
			a.colds = append(a.colds, part)
			l.addr[part] = s.addr
		}
	}
	return &a
}

// absent says whether nothing tells where any changed function of the unit is.
func (l *location) absent() bool {
	for f := range l.unit.changed {
		if _, ok := l.addr[l.unit.pairs.toOrig[f]]; ok {
			return false
		}
	}
	return true
}

// refuseAbsent refuses a changed function that an image does not have which is not
// proved: its callers may have a copy that is not seen.
func (p *patch) refuseAbsent(l *location, f *atom) {
	p.refuse(CodeImageMismatch, f.place(), f.name, unprovedAdvice, "it changed, the image does not have it, and what is inlined elsewhere is not proved")
}
