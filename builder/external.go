// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"strings"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format"
)

// external resolves a reference by name: as the image's own code reaches that
// name, or as its symbols tell, or as one that the dynamic linker knows.
func (p *patch) external(from *atom, r *ref, h arch.Howto, name string, addend int64) dest {
	to := func(imp *imported) dest { return dest{imp: imp, addend: addend} }
	weak := r.sym != nil && r.target == nil && r.sym.bind == elf.STB_WEAK
	if b := p.names[name]; b != nil {
		switch {
		case b.dynamic:
			return to(p.dynamicImport(from, r, h, name, weak))
		case b.direct:
			return to(p.imageImport(b.addr, name, b.tls, p.isFunc(from, name), "the image's own uses agree"))
		}
	}
	there := p.defined(name)
	switch {
	case len(there) > 1:
		p.refuse(CodeAmbiguous, from.place(), name, "", "refers to %s, and the image has several: %#x, %#x", name, uint64(there[0].addr), uint64(there[1].addr))
		return dest{}
	case len(there) == 1 && !p.preemptibleName(name):
		s := there[0]
		if s.typ == elf.STT_GNU_IFUNC {
			return p.ifunc(from, r, name, addend)
		}
		return to(p.imageImport(s.addr, name, s.typ == elf.STT_TLS, p.isFunc(from, name), "symbol of the image"))
	}
	return to(p.dynamicImport(from, r, h, name, weak))
}

// preemptibleName says whether a definition of the image is looked up by the
// dynamic linker all the same.
func (p *patch) preemptibleName(name string) bool {
	d := p.image.dyn.named[name]
	return d != nil && d.defined && d.vis == elf.STV_DEFAULT && p.image.shared() && !p.image.dyn.symbolic
}

func (p *patch) imageImport(at arch.Addr, name string, tls, isFunc bool, how string) *imported {
	imp := format.Import{Kind: format.ImportImage, Addr: format.Hex(at), Func: isFunc}
	typ := elf.STT_OBJECT
	switch {
	case tls:
		imp.Kind, imp.Func, typ = format.ImportTLS, false, elf.STT_TLS
	case isFunc:
		typ = elf.STT_FUNC
	}
	return p.imported(imp, name, typ, "", how)
}

// isFunc says whether a name is a function's: by the image's symbols, or by its
// use.
func (p *patch) isFunc(from *atom, name string) bool {
	for _, s := range p.image.named[name] {
		if s.typ == elf.STT_FUNC || s.typ == elf.STT_GNU_IFUNC {
			return true
		}
		if s.typ == elf.STT_OBJECT {
			return false
		}
	}
	if d := p.image.dyn.named[name]; d != nil && d.typ != elf.STT_NOTYPE {
		return d.typ == elf.STT_FUNC || d.typ == elf.STT_GNU_IFUNC
	}
	return p.branched(from.object)[name]
}

// branched lists the undefined symbols that an object's code calls.
func (p *patch) branched(o *object) map[string]bool {
	if known := p.called[o]; known != nil {
		return known
	}
	names := map[string]bool{}
	for _, a := range o.atoms {
		for i := range a.refs {
			if r := &a.refs[i]; r.target == nil && p.branch(a, r) {
				names[r.sym.name] = true
			}
		}
	}
	p.called[o] = names
	return names
}

// dynamicImport leaves a name to the applier, which looks it up as the dynamic
// linker would.
func (p *patch) dynamicImport(from *atom, r *ref, h arch.Howto, name string, weak bool) *imported {
	d := p.dynSymbol(from, name)
	tls := r.sym != nil && r.sym.typ == elf.STT_TLS || d != nil && d.typ == elf.STT_TLS
	isFunc := !tls && p.isFunc(from, name)
	if !p.image.dyn.exists && !weak {
		p.refuse(CodeUndefined, from.place(), name, "a static image has only what was linked into it; bring the function along in the fixed object",
			"refers to %s, which the image does not have", name)
		return nil
	}
	if b := p.names[name]; p.near(from, r, h) && !(weak && b != nil && b.absent) {
		if stub := p.stub(name); stub != 0 && isFunc {
			return p.imported(format.Import{Kind: format.ImportImage, Addr: format.Hex(stub), Func: true}, name+".plt", elf.STT_FUNC, "", "PLT entry of the image")
		}
		p.refuse(CodeUndefined, from.place(), name, "build the objects with -fPIC, or with -mno-direct-extern-access",
			"+%#x: %s to %s, which is in another module and may be out of reach", r.off, h.Name, name)
		return nil
	}
	imp := format.Import{Kind: format.ImportDynamic, Weak: weak, Func: isFunc, Slot: format.Hex(p.image.dyn.slots[d])}
	how := "the image imports it"
	if d != nil {
		imp.Name, imp.Version = d.name, d.version
	} else {
		imp.Name, imp.Version, _ = strings.Cut(name, "@")
		how = newImport
	}
	typ := elf.STT_OBJECT
	switch {
	case tls:
		imp.Kind, imp.Slot, typ = format.ImportDynamicTLS, 0, elf.STT_TLS
	case isFunc:
		typ = elf.STT_FUNC
	case d == nil:
		typ = elf.STT_NOTYPE
	}
	one := p.imported(imp, name, typ, "", how)
	p.judgeImport(from, one)
	return one
}

// dynSymbol is what the image looks up where code of this unit uses a name: of
// several versions, another unit may use another one.
func (p *patch) dynSymbol(from *atom, name string) *dynSymbol {
	if l := p.at[from.object]; l != nil && l.prover != nil && l.names[name] != nil && l.names[name].symbol != nil {
		return l.names[name].symbol
	}
	return p.image.dyn.named[name]
}

// newImport is how a name is bound that the image does not import itself.
const newImport = "new import"

// near says whether a field can hold only what lies close to the payload, and
// no stub can help because it is no branch.
func (p *patch) near(from *atom, r *ref, h arch.Howto) bool {
	return h.Need == arch.NeedNothing && h.Size > 0 && h.Size < 8 && !p.branch(from, r)
}

// stub returns the image's PLT entry for a name.
func (p *patch) stub(name string) arch.Addr {
	if b := p.names[name]; b != nil && b.stub != 0 {
		return b.stub
	}
	var lowest arch.Addr
	for at, slot := range p.image.dyn.stubs {
		if w := p.image.dyn.words[slot]; w.sym != nil && w.sym.name == name && (lowest == 0 || at < lowest) {
			lowest = at
		}
	}
	return lowest
}

// ifunc binds to the image's own entry for a function that a resolver chose.
func (p *patch) ifunc(from *atom, r *ref, name string, addend int64) dest {
	for at, slot := range p.image.dyn.stubs {
		w, err := p.image.word(slot)
		if err != nil || !w.ifunc {
			continue
		}
		for _, s := range p.image.named[name] {
			if s.addr == w.addr {
				return dest{imp: p.imported(format.Import{Kind: format.ImportImage, Addr: format.Hex(at), Func: true}, name, elf.STT_FUNC, "", "PLT entry of the image"), addend: addend}
			}
		}
	}
	p.refuse(CodeUndefined, from.place(), name, "", "refers to %s, which a resolver chooses and the image has no entry for", name)
	return dest{}
}
