// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import "debug/dwarf"

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
// gives such names to static locals alone.
func (o *object) partOf(f *atom) *atom {
	if !o.byClang() {
		return nil
	}
	of := whole(f.name)
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

// unplaced lists the static variables outside of functions that have neither an
// address nor a constant value.
func unplaced(d *dwarf.Data) map[string]bool {
	out, names := map[string]bool{}, map[dwarf.Offset]string{}
	r := d.Reader()
	for e, err := r.Next(); e != nil && err == nil; e, err = r.Next() {
		if e.Tag != dwarf.TagVariable {
			if e.Tag != dwarf.TagCompileUnit {
				r.SkipChildren()
			}
			continue
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		if before, ok := e.Val(dwarf.AttrSpecification).(dwarf.Offset); ok {
			name = names[before]
		}
		names[e.Offset] = name
		external, _ := e.Val(dwarf.AttrExternal).(bool)
		declaration, _ := e.Val(dwarf.AttrDeclaration).(bool)
		if name != "" && !external && !declaration && e.Val(dwarf.AttrLocation) == nil && e.Val(dwarf.AttrConstValue) == nil {
			out[name] = true
		}
	}
	return out
}
