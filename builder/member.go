// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format"
)

// patchAll finds out which units are part of which image, and makes a payload
// for each image.
func (d *diff) patchAll() {
	all := make([][]*location, len(d.images))
	for i, m := range d.images {
		for _, u := range d.units {
			if u.fixed.arch == m.arch && u.orig != nil {
				all[i] = append(all[i], locate(u, u.orig, m))
			}
		}
	}
	for i, m := range d.images {
		for _, l := range all[i] {
			if l.member() {
				d.member[l.unit] = append(d.member[l.unit], m.name)
			}
		}
	}
	for i, m := range d.images {
		d.patchImage(m, d.members(m, all[i]))
	}
	for _, u := range d.units {
		if len(d.member[u]) == 0 && (len(u.changed) > 0 || len(u.constants) > 0) {
			d.warn("%s: changed, but in none of the images", u.name)
		}
	}
}

func (d *diff) patchImage(m *image, places []*location) {
	var news []*location
	for _, u := range d.units {
		if u.fixed.arch == m.arch && u.orig == nil {
			news = append(news, &location{unit: u, image: m, prover: newProver(m, u.fixed)})
		}
	}
	before := len(d.refusals)
	for _, l := range places {
		d.judge(l)
	}
	p := newPatch(m, append(places, news...))
	p.libraryPath = d.opts.Libraries
	p.build()
	for _, w := range p.warnings {
		d.warn("%s", w)
	}
	for _, l := range news { // what runs at start matters only if something of the unit is used
		if slices.ContainsFunc(p.order, func(a *atom) bool { return a.object == l.unit.fixed }) {
			d.member[l.unit] = append(d.member[l.unit], m.name)
			d.judge(l)
		}
	}
	d.refusals = append(d.refusals, d.notAllowed(p.refusals)...)
	for _, l := range places {
		p.report.Proofs = append(p.report.Proofs, l.report())
	}
	if len(d.refusals) == before && len(p.sites) > 0 {
		if data, err := p.emit(); err != nil {
			d.refusals = append(d.refusals, &Refusal{Code: CodeRelocation, Place: m.name, Detail: err.Error()})
		} else {
			d.reportUnproved(p)
			d.result.Payloads = append(d.result.Payloads, data)
			d.result.Manifest.Payloads = append(d.result.Manifest.Payloads, format.PayloadInfo{Image: p.report.Image})
		}
	}
	for _, a := range p.order {
		if a.kind <= kindConstant && a.name != "" && p.at[a.object].unit.pairs.toOrig[a] == nil {
			p.report.New = append(p.report.New, fmt.Sprintf("%s %s (%s)", a.kind, a.name, a.object.name))
		}
	}
	d.result.Report.Images = append(d.result.Report.Images, p.report)
}

// member says whether the unit is part of the image: some of it was proved and
// nothing differs.
func (l *location) member() bool {
	good, bad := l.tally()
	return bad == 0 && good > 0
}

// members keeps the units that are part of the image. One that is not, although
// the image has its names, is refused: it was built otherwise, and what it
// changes would be missing. That is not so where another unit is proved to be in
// its place, and not certain where one source was compiled several times: then
// it is a warning.
func (d *diff) members(m *image, all []*location) []*location {
	var in []*location
	claimed := map[arch.Addr]bool{}
	for _, l := range all {
		if !l.member() {
			continue
		}
		in = append(in, l)
		for a, at := range l.addr {
			if a.kind == kindCode && l.proved(a) {
				claimed[at] = true
			}
		}
	}
	for _, l := range all {
		switch {
		case slices.Contains(in, l) || !l.resembles() || l.covered(claimed) && !(d.opts.Unproved && l.absent()):
		case d.elsewhere(l.unit):
			d.warn("%s: %s: not what the image was linked from, so its changes are not made there: %s", m.name, l.unit.name, l.firstProblem())
		case d.opts.Unproved && !d.swapped(m, l) && !l.ambiguous:
			d.trust(m, l)
			in = append(in, l)
		default:
			d.mismatch(m, l)
			d.result.Report.Images = append(d.result.Report.Images, ImageReport{
				Image:  format.Image{Name: m.name, BuildID: m.buildID, Machine: m.arch.Name},
				Proofs: []ProofReport{l.report()},
			})
		}
	}
	for _, l := range in {
		if l.ambiguous && len(l.unit.changed) > 0 {
			d.refusals = append(d.refusals, &Refusal{Code: CodeAmbiguous, Place: m.name + ": " + l.unit.name,
				Detail: fmt.Sprintf("several files named %s in the image prove equally well", l.object.file), Advice: "rename one of the sources"})
		}
	}
	return in
}

// elsewhere says whether a unit, or another object of the same source, is part
// of some image.
func (d *diff) elsewhere(u *unit) bool {
	return slices.ContainsFunc(d.units, func(v *unit) bool {
		return len(d.member[v]) > 0 && u.source() == v.source()
	})
}

// source is the name of the source file, as far as it is known.
func (u *unit) source() string {
	if u.fixed.file != "" {
		return u.fixed.file
	}
	return filepath.Base(u.name)
}

// resembles says whether the image has most of what the unit defines for
// others, or, if that is nothing, most of its local names.
func (l *location) resembles() bool {
	names, found := 0, 0
	for _, global := range []bool{true, false} {
		for _, a := range l.object.atoms {
			if a.kind != kindCode || a.name == "" || a.global() != global || a.weak() {
				continue
			}
			names++
			if len(l.image.named[a.name]) > 0 {
				found++
			}
		}
		if names > 0 {
			break
		}
	}
	return found > 0 && 2*found >= names
}

// covered says whether other units are proved to be where the changed functions
// of this one would be.
func (l *location) covered(claimed map[arch.Addr]bool) bool {
	for f := range l.unit.changed {
		o := l.unit.pairs.toOrig[f]
		if at, ok := l.addr[o]; ok && !claimed[at] {
			return false
		}
	}
	return true
}

// mismatch refuses a unit that is not what the image was linked from.
func (d *diff) mismatch(m *image, l *location) {
	r := &Refusal{Code: CodeImageMismatch, Place: m.name + ": " + l.unit.name, Detail: l.firstProblem(),
		Advice: "the original object is not what the image was linked from (" + l.likeliest() + "); build it as the image was built, or accept what cannot be proved with --unproved=warn"}
	if l.object.lto == ltoFat {
		r.Code, r.Advice = CodeLTO, ltoAdvice
		r.Detail = "the image was linked from what link-time optimisation made of the object: " + r.Detail
	}
	if d.swapped(m, l) {
		r.Code, r.Detail = CodeSwapped, "the fixed object matches the image and the original one does not"
		r.Advice = "exchange --orig and --fixed, or give the image from before the fix"
	}
	d.refusals = append(d.refusals, r)
}

// swapped says whether the fixed object is what the image was linked from.
func (d *diff) swapped(m *image, l *location) bool {
	good, bad := locate(l.unit, l.unit.fixed, m).tally()
	return bad == 0 && good > 0
}

// firstProblem describes the first function, or else the first datum, that differs.
func (l *location) firstProblem() string {
	for _, code := range []bool{true, false} {
		for _, a := range l.object.atoms {
			if l.status[a] == Different && a.kind != kindLiteral && (a.kind == kindCode) == code {
				return fmt.Sprintf("%s %s at %#x: %s", a.kind, a, uint64(l.addr[a]), l.problem[a])
			}
		}
	}
	return "nothing of it can be proved"
}

// judge refuses the changes of data that are about something in the image.
func (d *diff) judge(l *location) {
	for i, t := range l.unit.troubles {
		if t.about != nil {
			if _, in := l.addr[t.about]; !in {
				continue
			}
		}
		if d.troubled[l.unit] == nil {
			d.troubled[l.unit] = map[int]bool{}
		}
		if d.troubled[l.unit][i] {
			continue
		}
		d.troubled[l.unit][i] = true
		r := t.refusal
		if a := d.opts.Spec.allows(&r); a != nil {
			d.allowed[l.unit] = append(d.allowed[l.unit], AllowReport{r, a.Take, a.Reason})
			continue
		}
		d.refusals = append(d.refusals, &r)
	}
}

func (d *diff) notAllowed(all Refusals) Refusals {
	return slices.DeleteFunc(all, func(r *Refusal) bool { return d.opts.Spec.allows(r) != nil })
}

func (l *location) report() ProofReport {
	r := ProofReport{Unit: l.unit.name, Rewrites: map[string]int{}}
	for _, a := range l.object.atoms {
		if a.kind == kindLiteral || a.kind >= kindStartup || a.kind == kindConstant && len(a.symbols) == 0 {
			continue
		}
		switch l.status[a] {
		case Exact:
			r.Exact++
		case Relaxed:
			r.Relaxed++
		case Foreign:
			r.Foreign++
		case Different:
			r.Different++
		default:
			r.Absent++
		}
		for _, name := range l.rewrites[a] {
			r.Rewrites[name]++
		}
	}
	if r.Different > 0 {
		r.First = l.firstProblem()
	}
	return r
}
