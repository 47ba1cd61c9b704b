// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"

	"github.com/ulpatch/ulpatch/arch"
)

// Status is the outcome of the proof of one function.
type Status string

const (
	Exact     Status = "exact"     // every byte is as it was computed
	Relaxed   Status = "relaxed"   // so it is, after a known rewrite by the linker
	Absent    Status = "absent"    // not in the image: collected, or inlined everywhere
	Foreign   Status = "foreign"   // the image took another unit's copy of a weak definition
	Different Status = "different" // not what the image was linked from
)

// prover holds the original object against the image. Addresses that symbols
// tell are where it begins; each relocated field that is solved tells the
// address of one more atom.
type prover struct {
	image  *image
	object *object
	got    arch.Addr

	addr     map[*atom]arch.Addr // offset in the TLS block for thread-local atoms
	names    map[string]*binding // symbols that the object does not define, or that can be preempted
	queue    []*atom
	status   map[*atom]Status
	problem  map[*atom]string
	rewrites map[*atom][]string
}

// binding is how the image's code reaches a name.
type binding struct {
	addr    arch.Addr
	direct  bool // at addr, in the image
	dynamic bool // looked up by the dynamic linker
	slot    arch.Addr
	stub    arch.Addr // the image's own PLT entry
	tls     bool      // addr is an offset in the TLS block
	absent  bool      // weak, and the linker found no definition
}

func newProver(m *image, o *object) *prover {
	p := &prover{image: m, object: o, addr: map[*atom]arch.Addr{}, names: map[string]*binding{},
		status: map[*atom]Status{}, problem: map[*atom]string{}, rewrites: map[*atom][]string{}}
	if s := m.named["_GLOBAL_OFFSET_TABLE_"]; len(s) > 0 {
		p.got = s[0].addr
	}
	return p
}

// place notes where an atom is; it is an error if it is known to be elsewhere.
func (p *prover) place(a *atom, at arch.Addr) error {
	if old, known := p.addr[a]; known {
		if old != at {
			return fmt.Errorf("%s is at %#x here and at %#x elsewhere", a, uint64(at), uint64(old))
		}
		return nil
	}
	p.addr[a] = at
	p.queue = append(p.queue, a)
	return nil
}

// run proves all that has a place, and what that leads to.
func (p *prover) run() {
	for len(p.queue) > 0 {
		a := p.queue[0]
		p.queue = p.queue[1:]
		err := p.prove(a)
		switch {
		case err != nil:
			p.status[a], p.problem[a] = Different, err.Error()
			if a.weak() {
				p.status[a] = Foreign
			}
		case len(p.rewrites[a]) > 0:
			p.status[a] = Relaxed
		default:
			p.status[a] = Exact
		}
	}
	p.judgeLiterals()
}

// judgeLiterals makes a function differ where one of its literals does.
func (p *prover) judgeLiterals() {
	for _, a := range p.object.atoms {
		if a.kind != kindCode || p.status[a] != Exact && p.status[a] != Relaxed {
			continue
		}
		for i := range a.refs {
			if t := a.refs[i].target; t != nil && t.kind == kindLiteral && p.status[t] == Different {
				p.status[a], p.problem[a] = Different, fmt.Sprintf("+%#x: %s: %s", a.refs[i].off, describe(&a.refs[i]), p.problem[t])
				if a.weak() {
					p.status[a] = Foreign
				}
				break
			}
		}
	}
}

// prove compares an atom with what the image has at its place.
func (p *prover) prove(a *atom) error {
	at := p.addr[a]
	if a.kind == kindTLS {
		if p.image.tls == nil {
			return errors.New("the image has no thread-local storage")
		}
		at += arch.Addr(p.image.tls.Vaddr)
		if a.data == nil {
			return nil
		}
	}
	if a.section.name == "COMMON" {
		return nil // another unit may initialise it
	}
	if a.data == nil {
		return p.image.zeroed(at, a.size)
	}
	linked, err := p.image.read(at, a.size)
	if err != nil {
		return err
	}
	orig := a.data
	if a.kind == kindCode && !p.image.executable(at) {
		return fmt.Errorf("%#x is not executable", uint64(at))
	}
	known, lessons, err := p.fields(a, at, orig, linked)
	if err != nil {
		return err
	}
	for i := range orig {
		if !known[i] && orig[i] != linked[i] {
			return fmt.Errorf("+%#x: %s instead of %s", i, some(linked, uint64(i)), some(orig, uint64(i)))
		}
	}
	for _, l := range lessons {
		if err := l.learn(); err != nil {
			return fmt.Errorf("+%#x: %s: %w", l.off, l.name, err)
		}
	}
	return nil
}

// lesson is a field to be solved, once everything round the fields is known to
// be as it should.
type lesson struct {
	off   uint64
	name  string
	learn func() error
}

// fields finds the relocated fields: which bytes they cover, and what is to be
// learned from them.
func (p *prover) fields(a *atom, at arch.Addr, orig, linked []byte) (known []bool, lessons []lesson, err error) {
	known = make([]bool, len(orig))
	localExec := false
	end := -1 // of the rewrite that relocations belong to
	for i := range a.refs {
		r := &a.refs[i]
		off := int(r.off)
		if off < end {
			continue
		}
		h, ok := p.object.arch.Relocs[r.typ]
		if !ok {
			return nil, nil, fmt.Errorf("+%#x: %s is not supported", r.off, p.object.arch.RelocName(r.typ))
		}
		o := arch.Operands{A: r.addend, P: at + arch.Addr(r.off), GOT: p.got}
		if rw, ok := p.relaxed(a, r, orig, linked); ok {
			for j := off + rw.Start; j < off+rw.End; j++ {
				known[j] = true
			}
			lessons = append(lessons, lesson{r.off, rw.Name, func() error { return p.rewritten(a, r, rw, o, linked) }})
			end = off + rw.End
			localExec = localExec || rw.LocalExec
			continue
		}
		if h.Size == 0 {
			continue
		}
		for j, m := range h.Mask() {
			if linked[off+j]&^m != orig[off+j]&^m {
				return nil, nil, fmt.Errorf("+%#x: another instruction", r.off)
			}
			known[off+j] = true
		}
		lessons = append(lessons, lesson{r.off, h.Name, func() error { return p.field(r, h, o, linked[off:off+h.Size], localExec) }})
	}
	return known, lessons, nil
}

// relaxed recognises a rewrite of the code round a reference.
func (p *prover) relaxed(a *atom, r *ref, orig, linked []byte) (arch.Rewrite, bool) {
	if a.kind != kindCode || p.object.arch.Relax == nil {
		return arch.Rewrite{}, false
	}
	rw, ok := p.object.arch.Relax(r.typ, orig, linked, int(r.off))
	from, to := int(r.off)+rw.Start, int(r.off)+rw.End
	return rw, ok && from >= 0 && from <= to && to <= len(linked)
}

func (p *prover) rewritten(a *atom, r *ref, rw arch.Rewrite, o arch.Operands, linked []byte) error {
	from, to := int(r.off)+rw.Start, int(r.off)+rw.End
	p.rewrites[a] = append(p.rewrites[a], rw.Name)
	if rw.Howto.Size == 0 {
		return nil
	}
	by, v, ok := rw.Solve(linked[from:to], o)
	if !ok {
		return errors.New("cannot be solved")
	}
	if err := p.learn(r, by, v, rw.Howto.Need, false); err != nil {
		return err
	}
	set(&o, by, v)
	want, err := rw.Expect(o)
	if err != nil {
		return err
	}
	if !bytes.Equal(want, linked[from:to]) {
		return fmt.Errorf("% x instead of % x", linked[from:to], want)
	}
	return nil
}

func set(o *arch.Operands, by byte, v int64) {
	switch by {
	case 'S':
		o.S = arch.Addr(v)
	case 'G':
		o.G = arch.Addr(v)
	case 'T':
		o.TP = v
	case 'D':
		o.DTP = v
	case 'B':
		o.GOT = arch.Addr(v)
	}
}

// field solves one field that the linker only filled in.
func (p *prover) field(r *ref, h arch.Howto, o arch.Operands, place []byte, localExec bool) error {
	if h.Size == 8 && h.Need == arch.NeedNothing && !p.object.pcRelative(r.typ) {
		w, err := p.image.word(o.P)
		switch {
		case err != nil:
			return err
		case w.sym != nil:
			if w.addend != p.symbolAddend(r) {
				return fmt.Errorf("%s%+d instead of %+d", w.sym.name, w.addend, p.symbolAddend(r))
			}
			return p.learnDynamic(r, w.sym, 0, 0)
		case w.ifunc:
			return p.learnAddr(r, int64(w.addr)-r.addend)
		}
		return p.learnAddr(r, int64(w.addr)-r.addend)
	}
	by, v, ok := h.Expr.Solve(h.Field.Get(place), o)
	if !ok {
		return fmt.Errorf("%s cannot be solved", h.Expr.Text)
	}
	if h.Size == 4 && by == 'S' && !p.object.pcRelative(r.typ) {
		v = int64(uint32(v)) // fields of absolute addresses are as wide as the address
	}
	return p.learn(r, by, v, h.Need, localExec)
}

// symbolAddend is the addend relative to the symbol and not to its atom.
func (p *prover) symbolAddend(r *ref) int64 { return r.addend - symbolDelta(r) }

// symbolDelta is the offset of a reference's symbol in the target.
func symbolDelta(r *ref) int64 {
	if r.target == nil || r.sym == nil {
		return 0
	}
	return int64(r.sym.value) - int64(r.target.off)
}

// names of the symbols that a reference can be looked up by.
func (r *ref) called(name string) bool {
	if r.sym != nil && r.sym.name == name {
		return true
	}
	if r.target != nil {
		for _, s := range r.target.symbols {
			if s.name == name {
				return true
			}
		}
	}
	return false
}

func (p *prover) binding(name string) *binding {
	b := p.names[name]
	if b == nil {
		b = &binding{}
		p.names[name] = b
	}
	return b
}

func isTLS(r *ref) bool {
	return r.target != nil && r.target.kind == kindTLS || r.target == nil && r.sym.typ == elf.STT_TLS
}
