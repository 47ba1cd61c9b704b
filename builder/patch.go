// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"fmt"
	"slices"
	"sort"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format"
)

// patch is the payload for one image in the making: what is carried, and where
// everything that it refers to is found.
type patch struct {
	image  *image
	places []*location // the units of the image, then the new ones
	at     map[*object]*location
	names  map[string]*binding // as the code of the units reaches them
	defs   map[string][]*atom  // what the fixed units define and the image has not, by global name
	sites  []site              // by address
	hooks  []patchHook         // in the order of the table
	dests  map[*atom][]dest    // of what is carried: where its references go
	queue  []*atom
	order  []*atom // what is carried, by unit and place

	joined   map[*atom]*atom     // carried atoms that keep their distance, each with the next
	kept     map[*atom]arch.Addr // literals that stay where the image has them
	again    bool                // kept grew
	imports  map[format.Import]*imported
	called   map[*object]map[string]bool // undefined symbols that code branches to
	refusals Refusals
	report   ImageReport

	libraryPath LibraryPath
	warnings    []string
}

// site is an old function and the new one that takes over.
type site struct {
	loc      *location
	old, new *atom
	addr     arch.Addr
	entry    entry
}

// dest is where a reference of the payload goes: to an atom that is carried
// too, or to an import. A marker goes nowhere.
type dest struct {
	atom   *atom
	imp    *imported
	addend int64
}

// imported is an undefined symbol of the payload.
type imported struct {
	format.Import
	want string // the name that it gets if that is free
	typ  elf.SymType
	unit string
	how  string
	from string // the library that defines a new import, if that is known
}

func newPatch(m *image, places []*location) *patch {
	p := &patch{image: m, places: places, at: map[*object]*location{}, names: map[string]*binding{},
		defs: map[string][]*atom{}, kept: map[*atom]arch.Addr{}, called: map[*object]map[string]bool{}}
	p.report.Image = format.Image{Name: m.name, BuildID: m.buildID, Machine: m.arch.Name}
	for _, l := range places {
		p.at[l.unit.fixed] = l
		for name, b := range l.names {
			p.mergeName(name, b)
		}
	}
	return p
}

func (p *patch) mergeName(name string, b *binding) {
	old := p.names[name]
	if old == nil {
		c := *b
		p.names[name] = &c
		return
	}
	if b.direct && !old.direct {
		old.direct, old.addr, old.tls = true, b.addr, b.tls
	}
	if b.dynamic && !old.dynamic {
		old.dynamic, old.symbol = true, b.symbol
	}
	old.absent = old.absent || b.absent
	old.slot, old.stub = max(old.slot, b.slot), max(old.stub, b.stub)
}

func (p *patch) refuse(code Code, place, name, hint, format string, args ...any) {
	r := &Refusal{Code: code, Place: p.image.name + ": " + place, Name: name, Detail: fmt.Sprintf(format, args...), Advice: hint}
	for _, old := range p.refusals {
		if *old == *r {
			return
		}
	}
	p.refusals = append(p.refusals, r)
}

// build finds the sites, and all that the new code needs.
func (p *patch) build() {
	p.findDefinitions()
	p.findSites()
	p.findHooks()
	found := slices.Clone(p.refusals)
	for p.again = true; p.again; {
		p.again = false
		p.refusals = slices.Clone(found)
		p.order, p.queue = nil, nil
		p.dests, p.joined, p.imports = map[*atom][]dest{}, map[*atom]*atom{}, map[format.Import]*imported{}
		p.close()
	}
	p.sortCarried()
}

// close carries the new functions and all that they need.
func (p *patch) close() {
	for _, s := range p.sites {
		p.carry(s.new)
	}
	for _, h := range p.hooks {
		p.carry(h.call)
		p.carry(h.progress)
	}
	for len(p.queue) > 0 {
		a := p.queue[0]
		p.queue = p.queue[1:]
		if a.opaque != "" {
			p.refuse(CodeUndecodable, a.place(), a.name, "build the objects with -ffunction-sections", "%s", a.opaque)
		}
		dests := make([]dest, len(a.refs))
		for i := range a.refs {
			if l := p.at[a.object]; a.refs[i].target != nil {
				p.settle(a, i, l)
			}
			dests[i] = p.resolve(a, &a.refs[i])
		}
		p.dests[a] = dests
		if a.kind == kindCode {
			for _, f := range a.frames {
				p.carry(f)
				p.carry(f.cie)
			}
		}
	}
}

func (p *patch) sortCarried() {
	rank := map[*object]int{}
	for i, l := range p.places {
		rank[l.unit.fixed] = i
	}
	sort.SliceStable(p.order, func(i, j int) bool {
		a, b := p.order[i], p.order[j]
		if a.object != b.object {
			return rank[a.object] < rank[b.object]
		}
		return a.index < b.index
	})
}

func (p *patch) carry(a *atom) {
	if _, known := p.dests[a]; known {
		return
	}
	p.dests[a] = nil
	p.order = append(p.order, a)
	p.queue = append(p.queue, a)
}

// findDefinitions lists what the fixed units define that other units may refer
// to. What the image has under the same name from another unit has moved.
func (p *patch) findDefinitions() {
	for _, l := range p.places {
		for _, f := range l.unit.fixed.atoms {
			isNew := l.unit.pairs.toOrig[f] == nil
			if f.kind > kindTLS || !f.global() || !isNew && l.unit.changed[f] == nil {
				continue
			}
			for _, s := range f.symbols {
				if s.bind != elf.STB_LOCAL {
					p.defs[s.name] = append(p.defs[s.name], f)
				}
			}
			if isNew && !f.weak() && l.unit.orig != nil && len(p.defined(f.name)) > 0 {
				p.refuse(CodeMoved, f.place(), f.name, "leave the definition in its file", "the image has a definition of it that comes from another unit")
			}
		}
	}
}

// defined returns the symbols by which other units can know a name.
func (p *patch) defined(name string) []imageSymbol {
	var out []imageSymbol
	add := func(s imageSymbol) {
		if !slices.ContainsFunc(out, func(t imageSymbol) bool { return t.addr == s.addr }) {
			out = append(out, s)
		}
	}
	for _, s := range p.image.named[name] {
		if s.bind != elf.STB_LOCAL {
			add(s)
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, s := range p.image.named[name] { // made local by the linker
		if s.vis != elf.STV_DEFAULT || s.block < 0 || p.image.blocks[s.block].file == "" {
			add(s)
		}
	}
	return out
}

// orig returns where the image has an atom of a fixed object.
func (l *location) orig(f *atom) (o *atom, at arch.Addr, ok bool) {
	if o = l.unit.pairs.toOrig[f]; o == nil || l.prover == nil {
		return o, 0, false
	}
	at, ok = l.addr[o]
	return o, at, ok
}

// findSites lists the changed functions that the image has.
func (p *patch) findSites() {
	for _, l := range p.places {
		for _, f := range l.unit.fixed.atoms {
			d := l.unit.changed[f]
			if d == nil {
				continue
			}
			o, at, ok := l.orig(f)
			if !ok && l.unproved {
				p.refuseAbsent(l, f)
				continue
			}
			if !ok {
				p.report.Dropped = append(p.report.Dropped, Dropped{l.unit.name, f.name, "the image does not have it: it was collected, or inlined everywhere"})
				continue
			}
			if s, fine := p.newSite(l, o, f, at); fine {
				p.sites = append(p.sites, s)
			}
		}
	}
	sort.SliceStable(p.sites, func(i, j int) bool { return p.sites[i].addr < p.sites[j].addr })
	for i := 1; i < len(p.sites); i++ {
		if a, b := p.sites[i-1], p.sites[i]; a.addr == b.addr {
			p.refuse(CodeFolded, b.old.place(), b.old.name, "link the image without folding (--icf=none)", "it has the address of %s", a.old.place())
		}
	}
}

func (p *patch) newSite(l *location, o, f *atom, at arch.Addr) (site, bool) {
	before := len(p.refusals)
	place := o.place()
	if o.ifunc() || f.ifunc() {
		p.refuse(CodeIFUNC, place, o.name, "patch the function that it chooses", "its resolver ran when the process started")
	}
	if l.status[o] == Foreign {
		p.refuse(CodeImageMismatch, place, o.name, "give the object whose copy was linked", "the image has another unit's copy of this weak definition: %s", l.problem[o])
		return site{}, false
	}
	for _, s := range o.symbols {
		if s.value != o.off && (s.typ == elf.STT_FUNC || s.typ == elf.STT_NOTYPE && s.bind != elf.STB_LOCAL) {
			p.refuse(CodeSeveralEntries, place, o.name, "", "%s is a second entry of it", s.name)
		}
	}
	for _, s := range p.image.at(at) {
		if (s.typ == elf.STT_FUNC || s.typ == elf.STT_GNU_IFUNC) && !o.called(s.name) {
			p.refuse(CodeFolded, place, o.name, "link the image without folding (--icf=none)", "%s has the same address", s.name)
		}
	}
	if l.unproved && !l.proved(o) {
		if p.unsure(o, at, l) {
			return site{}, false
		}
		o = p.asInImage(l, o, at)
	}
	e, err := readEntry(p.image, l, o, at)
	if err != nil {
		p.refuse(CodeFunctionTooSmall, place, o.name, "patch its callers instead, for example by making it inline in the fixed source", "%s", err)
	}
	return site{l, o, f, at, e}, len(p.refusals) == before
}

// called says whether a symbol of the image is one of the atom's.
func (a *atom) called(name string) bool {
	return slices.ContainsFunc(a.symbols, func(s *symbol) bool { return sameName(s.name, name) })
}
