// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"fmt"
	"slices"
)

// unit is a translation unit: an object pair, or an object that only the fixed
// tree has.
type unit struct {
	name  string
	orig  *object // nil: the unit is new
	fixed *object
	pairs *pairing

	changed   map[*atom]*Difference // functions of fixed that are in orig and differ
	constants map[*atom]*Difference // named read-only data of fixed that differs
	troubles  []trouble             // changes of data that a process cannot take
	dropped   []string              // functions that the patch spec excludes
	onlyLines []string              // functions that differ in line numbers alone, and stay
	lines     bool                  // these change as well
	shifted   *ShiftReport          // accesses that moved, where types are not known
	unplaced  map[string]bool       // variables of the original's source that are in no object
	hooks     []hook

	alignments map[*atom]alignment // by function of fixed, where they were needed
}

// trouble is a change that is refused if what it is about is in an image.
type trouble struct {
	about   *atom // of orig; nil: refused in any case
	refusal Refusal
}

// newUnit correlates and compares. Functions that differ in line numbers alone
// count as changed if lines is set.
func newUnit(name string, orig, fixed *object, spec *Spec, lines bool) *unit {
	u := &unit{name: name, orig: orig, fixed: fixed, lines: lines, changed: map[*atom]*Difference{}, constants: map[*atom]*Difference{}}
	if orig == nil {
		u.pairs = &pairing{toOrig: map[*atom]*atom{}, toFixed: map[*atom]*atom{}, ambiguous: map[*atom][]*atom{}}
	} else {
		u.pairs = correlate(orig, fixed)
	}
	u.compare(spec)
	u.spread(spec)
	u.judgeStartup()
	return u
}

func (u *unit) trouble(about *atom, code Code, name, detail, hint string) *Refusal {
	u.troubles = append(u.troubles, trouble{about, Refusal{Code: code, Place: u.name + ": " + name, Name: name, Detail: detail, Advice: hint}})
	return &u.troubles[len(u.troubles)-1].refusal
}

// troubled says whether a code is noted for a name already: one function is
// enough to show it.
func (u *unit) troubled(code Code, name string) bool {
	return slices.ContainsFunc(u.troubles, func(t trouble) bool { return t.refusal.Code == code && t.refusal.Name == name })
}

func (u *unit) compare(spec *Spec) {
	c := newComparer(u.pairs)
	for _, f := range u.fixed.atoms {
		o := u.pairs.toOrig[f]
		if o == nil {
			continue
		}
		d := c.difference(o, f)
		switch {
		case f.kind == kindCode:
			if d != nil && !u.lines && u.lineOnly(c, o, f) {
				u.onlyLines = append(u.onlyLines, f.name)
			} else if d != nil {
				u.markChanged(f, d.show(o, f), spec)
				if name, moved := c.shifted(o, f); moved != nil && !spec.excludes(f.name) && !u.troubled(CodeLayout, name) {
					_ = u.trouble(nil, CodeLayout, name, fmt.Sprintf("%s differs only in the offset of what it uses (%s): the layout seems to have changed", f.name, moved),
						"a running process has its data at the old offsets; put new fields at the end, or allow the change by name if the function is meant to use another field")
				}
			}
		case f.kind != o.kind:
			_ = u.trouble(o, CodeVariableKind, o.name, fmt.Sprintf("the %s becomes a %s", o.kind, f.kind), "")
		case d == nil, f.kind == kindStartup:
		case f.kind == kindConstant:
			u.constants[f] = d
		case o.size != f.size:
			r := u.trouble(o, CodeVariableSize, o.String(), fmt.Sprintf("%s of %d bytes becomes one of %d bytes", o.kind, o.size, f.size),
				"a running process has the old one and everything that points to it; keep the variable and add a new one; or, if nothing ever writes to it, allow the change by name and take the new one")
			u.takeNew(f, d, r, spec)
		default:
			r := u.trouble(o, CodeDataInitialiser, o.String(), fmt.Sprintf("initial value of an existing %s: %s", o.kind, d),
				"a running process has its own value already; set it from code, or allow the change by name to leave it as it is")
			u.takeNew(f, d, r, spec)
		}
	}
}

// takeNew treats changed data like a changed constant where the patch spec says
// so: there will be a fresh copy, which all functions of the unit use.
func (u *unit) takeNew(f *atom, d *Difference, r *Refusal, spec *Spec) {
	if a := spec.allows(r); a != nil && a.Take == "new" && f.kind == kindVariable {
		u.constants[f] = d
	}
}

// markChanged marks a function; a .cold part stands for its parent.
func (u *unit) markChanged(f *atom, d *Difference, spec *Spec) {
	if f.parent != nil {
		f, d = f.parent, &Difference{What: f.name + ": " + d.String(), Old: d.Old, New: d.New}
		if u.pairs.toOrig[f] == nil {
			return
		}
	}
	if u.changed[f] != nil {
		return
	}
	if spec.excludes(f.name) {
		if !slices.Contains(u.dropped, f.name) {
			u.dropped = append(u.dropped, f.name)
		}
		return
	}
	u.changed[f] = d
}

// spread follows what changed constants and changed functions do to others: a
// table of labels travels with its function, a changed constant gets a new copy
// and every function that refers to it has to refer to that one.
func (u *unit) spread(spec *Spec) {
	for again := true; again; {
		again = false
		for _, f := range u.fixed.atoms {
			if u.pairs.toOrig[f] == nil || u.changed[f] != nil || u.constants[f] != nil {
				continue
			}
			d := u.infected(f, map[*atom]bool{})
			switch {
			case d == nil:
			case f.kind == kindCode:
				before := len(u.changed)
				u.markChanged(f, d.show(u.pairs.toOrig[f], f), spec)
				again = again || len(u.changed) > before
			case f.kind == kindConstant:
				u.constants[f] = d
				again = true
			}
		}
	}
	for _, f := range u.fixed.atoms {
		o := u.pairs.toOrig[f]
		if o == nil {
			continue
		}
		if u.constants[f] != nil && f.global() {
			_ = u.trouble(o, CodeSharedConstant, f.name, "other units can refer to it: "+u.constants[f].String(),
				"only the functions of its own unit are made to use the new one; allow the change by name if no other unit uses it")
		}
		if (f.kind == kindVariable || f.kind == kindTLS) && u.constants[f] == nil {
			if d := u.infected(f, map[*atom]bool{}); d != nil {
				u.trouble(o, CodeDataInitialiser, o.String(), fmt.Sprintf("a variable that holds the address of what is replaced: %s", d),
					"it would go on pointing to the old one; set it from code, or allow the change by name to leave it so")
			}
		}
	}
}

// infected tells why an unchanged atom cannot go on referring to what it refers
// to. Literals travel along, so they are looked through.
func (u *unit) infected(a *atom, seen map[*atom]bool) *Difference {
	for i := range a.refs {
		r := &a.refs[i]
		t := r.target
		switch {
		case t == nil || seen[t]:
		case u.constants[t] != nil:
			return &Difference{Offset: r.off, What: fmt.Sprintf("refers to %s, which changed", t)}
		case t.kind == kindCode && a.kind != kindCode && u.interior(r) && u.replaced(t):
			return &Difference{Offset: r.off, What: fmt.Sprintf("refers to a label in %s, which changed", t)}
		case anonymous(t):
			seen[t] = true
			if d := u.infected(t, seen); d != nil {
				return &Difference{Offset: r.off, What: d.What}
			}
		}
	}
	return nil
}

// ofLabels says whether an atom is a static table of labels of functions that are
// replaced: whichever of the original it was, it comes along with its function.
func (u *unit) ofLabels(a *atom) bool {
	if a.kind != kindConstant || a.global() || len(a.refs) == 0 {
		return false
	}
	return !slices.ContainsFunc(a.refs, func(r ref) bool {
		return r.target == nil || r.target.kind != kindCode || !u.interior(&r) || !u.replaced(r.target)
	})
}

// interior says whether a reference is to a place within a function and not to
// its entry.
func (u *unit) interior(r *ref) bool { return r.landing != 0 || r.target.parent != nil }

// isNew says whether the original object has nothing that may be the same.
func (u *unit) isNew(f *atom) bool { return u.pairs.toOrig[f] == nil && len(u.pairs.ambiguous[f]) == 0 }

// replaced says whether new code takes over from a function, or from the one
// that it is a part of.
func (u *unit) replaced(f *atom) bool {
	return u.changed[f] != nil || f.parent != nil && u.changed[f.parent] != nil
}

// judgeStartup refuses what would have to run when the process started.
func (u *unit) judgeStartup() {
	c := newComparer(u.pairs)
	for _, f := range u.fixed.atoms {
		if f.kind != kindStartup || f.size == 0 {
			continue
		}
		o := u.pairs.toOrig[f]
		if o == nil || c.difference(o, f) != nil {
			u.trouble(nil, CodeInitArray, f.section.name, "the functions that run at start or exit are others",
				"they ran already, or are listed already, in a running process; do it in a function that is called later")
		}
	}
	u.judgeLists()
	if u.orig == nil {
		return
	}
	for _, o := range u.orig.atoms {
		if o.kind == kindStartup && o.size > 0 && u.pairs.toFixed[o] == nil {
			u.trouble(nil, CodeInitArray, o.section.name, "a function no longer runs at start or exit",
				"keep the entry and let the function do nothing")
		}
	}
}

// judgeLists refuses a new entry of a section that the program walks by its
// __start_ and __stop_ symbols.
func (u *unit) judgeLists() {
	for _, f := range u.fixed.atoms {
		if u.pairs.toOrig[f] == nil && f.kind != kindCode && isIdentifier(f.section.name) {
			u.trouble(nil, CodeSectionEntry, f.String(), fmt.Sprintf("a new entry in section %s, which is walked as a list", f.section.name),
				"the list of a running process cannot grow; allow it by name if nothing needs the entry")
		}
	}
}

func isIdentifier(s string) bool {
	for i, c := range []byte(s) {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && s != "COMMON"
}
