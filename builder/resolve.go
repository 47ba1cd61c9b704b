// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"fmt"
	"slices"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format"
)

// resolve decides where a reference of the payload goes.
func (p *patch) resolve(from *atom, r *ref) dest {
	h, ok := p.image.arch.Relocs[r.typ]
	if !ok {
		p.refuse(CodeRelocation, from.place(), from.name, "build the objects with other flags", "+%#x: %s", r.off, p.image.arch.RelocName(r.typ))
		return dest{}
	}
	if r.target == nil && r.sym.name == offsetTable && h.Need != arch.NeedGOTBase {
		p.refuse(CodeRelocation, from.place(), from.name, "build the objects with -fPIC instead of -fpic", "+%#x: %s to the global offset table", r.off, h.Name)
		return dest{}
	}
	if r.target == nil {
		switch t := p.defs[r.sym.name]; len(t) {
		case 0:
			return p.external(from, r, h, r.sym.name, r.addend)
		case 1:
			s := *r
			s.target = t[0]
			delta := int64(symbolOf(t[0], r.sym.name).value - t[0].off)
			s.addend += delta
			s.landing += delta
			return p.internal(from, &s, h)
		default:
			p.refuse(CodeAmbiguous, from.place(), r.sym.name, "", "refers to %s, which is in %s and in %s", r.sym.name, t[0].object.name, t[1].object.name)
			return dest{}
		}
	}
	return p.internal(from, r, h)
}

func symbolOf(a *atom, name string) *symbol {
	for _, s := range a.symbols {
		if s.name == name {
			return s
		}
	}
	return &symbol{value: a.off}
}

func (p *patch) refuseThreadLocal(t *atom) {
	p.refuse(CodeThreadLocal, t.place(), t.name, "threads that exist have no room for it; use a table that is keyed by thread", "a new thread-local variable")
}

// internal resolves a reference to an atom of one of the fixed objects.
func (p *patch) internal(from *atom, r *ref, h arch.Howto) dest {
	t, l := r.target, p.at[r.target.object]
	o, at, located := l.orig(t)
	keep := dest{atom: t, addend: r.addend}
	if located && p.unsure(o, at, l) {
		return dest{}
	}
	if all := l.unit.pairs.ambiguous[t]; o == nil && len(all) > 0 && !l.unit.ofLabels(t) {
		what := fmt.Sprintf("it may be each of %v of the original", all)
		if len(all) == 1 {
			what = fmt.Sprintf("it may be %v of the original, or a new one", all[0])
		}
		p.refuse(CodeAmbiguous, t.place(), t.name, "give the variable or function a name of its own", "%s", what)
		return dest{}
	}
	if at, kept := p.kept[t]; kept {
		return dest{imp: p.imageImport(at, t.String(), false, false, "the image has the same constant"), addend: r.addend}
	}
	switch {
	case anonymous(t):
		p.carry(t)
		return keep
	case t.kind == kindTLS && !located:
		if len(p.defined(t.name)) == 0 || !t.weak() {
			p.refuseThreadLocal(t)
			return dest{}
		}
	case t.kind == kindCode:
		if d, done := p.code(from, r, t, l, located); done {
			return d
		}
	case l.unit.constants[t] != nil:
		p.carry(t)
		return keep
	}
	if name := p.preempted(t, r, l); name != "" {
		return p.external(from, r, h, name, r.addend-int64(symbolOf(t, name).value-t.off))
	}
	if located {
		return p.inImage(r, t, o, at, o.String())
	}
	if t.weak() && len(p.defined(t.name)) > 0 { // another unit's copy is the live one
		return p.external(from, r, h, t.name, r.addend)
	}
	p.refuseOptimised(t, l.unit)
	p.carry(t)
	return keep
}

// code decides whether a reference to a function goes to new code. A call does
// if the function changed; an address that may be stored or compared is that of
// the original entry, so that it stays valid and equal after a revert.
func (p *patch) code(from *atom, r *ref, t *atom, l *location, located bool) (dest, bool) {
	keep := dest{atom: t, addend: r.addend}
	if from != t && p.short(from, r) {
		if !l.unit.replaced(t) && located {
			p.refuse(CodeRelocation, from.place(), from.name, "build the objects with -ffunction-sections", "+%#x: a short jump to %s, which is not in the patch", r.off, t)
			return dest{}, true
		}
		p.carry(t)
		p.join(from, t)
		return keep, true
	}
	if from.kind == kindFDE || from == t {
		if r.landing != 0 || from.kind == kindFDE || p.branch(from, r) {
			p.carry(t)
			return keep, true
		}
	}
	if !located || !l.unit.replaced(t) {
		return dest{}, false
	}
	label := r.landing != 0 || t.parent != nil || from.kind == kindLiteral && t.object.pcRelative(r.typ)
	if label || p.branch(from, r) && p.preempted(t, r, l) == "" {
		p.carry(t)
		return keep, true
	}
	if p.branch(from, r) {
		return dest{}, false
	}
	if name := p.preempted(t, r, l); name != "" {
		return dest{}, false
	}
	o, at, _ := l.orig(t)
	return p.inImage(r, t, o, at, o.name+".orig"), true
}

// short says whether an assembler resolved a jump to a function so near that its
// field can hold no other distance than the one in the object.
func (p *patch) short(from *atom, r *ref) bool {
	const near = 4 // bytes of a field that reaches through a payload
	h := p.image.arch.Relocs[r.typ]
	return from.kind == kindCode && r.sym == nil && h.Size > 0 && h.Size < near
}

func (p *patch) branch(from *atom, r *ref) bool {
	return from.kind == kindCode && p.image.arch.BranchReloc(r.typ, from.data, int(r.off))
}

// preempted tells the name by which the image's own code reaches a definition
// of this unit if it leaves that to the dynamic linker, so that another module
// may take precedence (a copy relocation, LD_PRELOAD).
func (p *patch) preempted(t *atom, r *ref, l *location) string {
	if !p.image.dyn.exists {
		return ""
	}
	symbols := t.symbols
	if r.sym != nil && slices.Contains(symbols, r.sym) { // the name that the code uses
		symbols = []*symbol{r.sym}
	}
	for _, s := range symbols {
		if s.bind == elf.STB_LOCAL || s.vis != elf.STV_DEFAULT {
			continue
		}
		d := p.image.dyn.named[s.name]
		if d == nil || d.vis != elf.STV_DEFAULT {
			continue
		}
		if b := l.names[s.name]; b != nil && b.dynamic {
			return s.name
		}
		if o, _, ok := l.orig(t); ok && l.usedDirectly(o) {
			continue
		}
		if p.image.shared() && !p.image.dyn.symbolic && d.defined {
			return s.name
		}
	}
	return ""
}

// usedDirectly says whether proved code of the unit refers to an atom by its
// address.
func (l *location) usedDirectly(o *atom) bool {
	for _, a := range l.object.atoms {
		if !l.proved(a) || a.kind != kindCode {
			continue
		}
		for i := range a.refs {
			if a.refs[i].target == o && a.refs[i].sym != nil && a.refs[i].sym.bind != elf.STB_LOCAL {
				return true
			}
		}
	}
	return false
}

// inImage imports an atom that the image has.
func (p *patch) inImage(r *ref, t, o *atom, at arch.Addr, want string) dest {
	imp := format.Import{Kind: format.ImportImage, Addr: format.Hex(at)}
	typ := elf.STT_OBJECT
	switch t.kind {
	case kindTLS:
		imp.Kind, typ = format.ImportTLS, elf.STT_TLS
	case kindCode:
		imp.Func, typ = true, elf.STT_FUNC
	}
	how := "symbol and uses agree"
	if p.at[t.object].status[o] == Foreign {
		how = "symbol of another unit's copy"
	}
	return dest{imp: p.imported(imp, want, typ, t.object.name, how), addend: r.addend}
}

func (p *patch) imported(imp format.Import, want string, typ elf.SymType, unit, how string) *imported {
	key := imp
	if imp.Kind == format.ImportImage && !imp.Func {
		key.Name = want // two variables may share an address (an empty one, an alias)
	}
	if old := p.imports[key]; old != nil {
		return old
	}
	one := &imported{Import: imp, want: want, typ: typ, unit: unit, how: how}
	p.imports[key] = one
	return one
}
