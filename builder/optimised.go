// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import "strings"

// A variable that looks new may be one of the original source all the same, of
// which the process has no copy that new code could use: clang makes variables of
// their own (v.0, v.2) out of the fields of one whose uses all say which field they
// mean, and both compilers leave out what is written and never read. New code would
// begin with the initial value, and forget what the process has written so far. (They
// leave out what is read and never written as well, and nothing tells the one from
// the other.)

// refuseOptimised refuses to carry a datum if it, or the whole that it is a part of,
// is a variable of the original source.
func (p *patch) refuseOptimised(t *atom, u *unit) {
	if u.orig == nil || t.global() || t.kind != kindVariable && t.kind != kindConstant {
		return
	}
	const advice = "keep the uses that make the compiler keep the variable as it is; or allow the change by name if the initial value will do"
	name := t.name
	if o := u.orig.partOf(t); o != nil {
		name = whole(name)
		p.refuse(CodeOptimised, t.object.name+": "+name, name, advice, "the original object has it as %s: the optimiser splits it in another way now, and what is in it would be left behind", o)
	} else if t.kind == kindVariable && u.unplaced[name] {
		p.refuse(CodeOptimised, t.place(), name, advice, "the original source has the variable, but nothing reads it, or nothing writes it, so the compiler left it out: what may have been written is not in the process")
	}
}

// partOf returns a datum of which f, from another version of the object, is a part,
// or which is a part of f, or a part of the same whole, as clang names them. gcc
// gives such names to static locals alone; clang to the second of a function that
// has the name of the first one (parse.count, parse.count.3), which keeps its own.
func (o *object) partOf(f *atom) *atom {
	if !o.byClang() {
		return nil
	}
	of := whole(f.name)
	if base, numbered := staticBase(f.name); len(o.byName[of]) > 0 && len(f.object.byName[of]) > 0 && (!numbered || base == of) {
		return nil
	}
	for _, a := range o.atoms {
		if a.kind == kindVariable && !a.global() && a.name != "" && whole(a.name) == of {
			return a
		}
	}
	return nil
}

// whole is the name of the variable of which v.0 and v.1.0 are parts.
func whole(name string) string {
	for base, numbered := staticBase(name); numbered; base, numbered = staticBase(name) {
		name = base
	}
	return name
}

// judgeForms refuses a variable whose value is not kept in the same way: one that
// has two values only is a byte that tells which for clang, so that the process has
// something else in it than what new code expects.
func (u *unit) judgeForms(before, after *declared) {
	for _, f := range u.fixed.atoms {
		o := u.pairs.toOrig[f]
		if o == nil || f.kind != kindVariable && f.kind != kindTLS {
			continue
		}
		name := f.name[strings.LastIndexByte(f.name, '.')+1:] // of a static local: parse.count
		was, had := before.forms[name]
		if is, has := after.forms[name]; had && has && was != is {
			u.trouble(o, CodeOptimised, f.name, "the optimiser keeps its value in another form: what the process has in it would mean something else",
				"keep the values that the original gives it; or allow the change by name if what is in it may be taken for another value")
		}
	}
}

// gone lists the variables of the original object that the fixed one has not: the
// source has them no more, or the compiler leaves them out, since nothing reads them
// any more.
func (u *unit) gone() (names []string) {
	if u.orig == nil {
		return nil
	}
	perhaps := map[*atom]bool{}
	for _, all := range u.pairs.ambiguous {
		for _, o := range all {
			perhaps[o] = true
		}
	}
	for _, o := range u.orig.atoms {
		variable := o.kind == kindVariable || o.kind == kindTLS
		if variable && o.name != "" && o.size > 0 && u.pairs.toFixed[o] == nil && !perhaps[o] {
			names = append(names, o.name)
		}
	}
	return names
}
