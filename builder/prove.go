// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	stub    arch.Addr  // the image's own PLT entry
	tls     bool       // addr is an offset in the TLS block
	symbol  *dynSymbol // that is looked up
	absent  bool       // weak, and the linker found no definition
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
	if _, stub := p.image.dyn.stubs[at]; stub && a.ifunc() {
		return nil // its symbol was moved to the PLT entry; the resolver is elsewhere
	}
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
	var unsolved []*atom
	places := -1 // how many were known when what is unsolved was tried
	for {
		if len(p.queue) == 0 {
			if len(unsolved) == 0 || places == len(p.addr) {
				break
			}
			p.queue, unsolved, places = unsolved, nil, len(p.addr)
		}
		a := p.queue[0]
		p.queue = p.queue[1:]
		delete(p.rewrites, a)
		err := p.prove(a)
		if errors.Is(err, errUnsolved) {
			unsolved = append(unsolved, a)
		}
		switch {
		case err != nil:
			p.status[a], p.problem[a] = Different, err.Error()
			if a.weak() {
				p.status[a] = Foreign
			}
			delete(p.rewrites, a)
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
	for i := 0; i < len(orig); i++ {
		if known[i] || orig[i] == linked[i] {
			continue
		}
		end, moved := p.moved(a, at, known, linked, i)
		if !moved {
			return fmt.Errorf("+%#x: %s instead of %s", i, some(linked, uint64(i)), some(orig, uint64(i)))
		}
		i = end - 1
	}
	return p.study(lessons)
}

// moved recognises an instruction without a relocation that the linker has moved
// away as it is, with its first byte that differs at i. It returns where that
// instruction ends.
func (p *prover) moved(a *atom, at arch.Addr, known []bool, linked []byte, i int) (end int, ok bool) {
	const longest = 4 // of those that are moved
	for start := max(0, i-longest+1); start <= i; start++ {
		rw, ok := p.relaxed(a, &ref{off: uint64(start)}, a.data, linked)
		end := start + rw.End
		if !ok || !rw.Veneer || end <= i || slices.Contains(known[start:end], true) {
			continue
		}
		o := arch.Operands{P: at + arch.Addr(start)}
		if _, err := p.image.veneer(rw, linked[start:end], o, a.data[start:end], make([]byte, rw.End)); err == nil {
			p.rewrites[a] = append(p.rewrites[a], rw.Name)
			return end, true
		}
	}
	return 0, false
}

// lesson is a field to be solved, once everything round the fields is known to
// be as it should.
type lesson struct {
	ref       *ref
	name      string
	place     []byte // what the image has there
	operands  arch.Operands
	howto     arch.Howto
	rewrite   *arch.Rewrite
	localExec bool
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
		l := lesson{ref: r, name: h.Name, howto: h, operands: arch.Operands{A: r.addend, P: at + arch.Addr(r.off), GOT: p.got}}
		if rw, ok := p.relaxed(a, r, orig, linked); ok {
			for j := off + rw.Start; j < off+rw.End; j++ {
				known[j] = true
			}
			p.rewrites[a] = append(p.rewrites[a], rw.Name)
			end = off + rw.End
			localExec = localExec || rw.LocalExec
			l.name, l.place = rw.Name, linked[off+rw.Start:off+rw.End]
			if rw.Veneer {
				if l.place, err = p.image.veneer(rw, l.place, l.operands, orig[off:], h.Mask()); err != nil {
					return nil, nil, fmt.Errorf("+%#x: %s: %w", r.off, rw.Name, err)
				}
			} else {
				l.howto, l.rewrite = rw.Howto, &rw
			}
			lessons = append(lessons, l)
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
		l.place, l.localExec = linked[off:off+h.Size], localExec
		lessons = append(lessons, l)
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

// veneer returns the instruction that the linker moved away, from where it
// stands now. Behind it has to be the way back. fields has the bits of the
// instruction that the linker fills in.
func (m *image) veneer(rw arch.Rewrite, linked []byte, o arch.Operands, orig, fields []byte) ([]byte, error) {
	_, at, ok := rw.Solve(linked, o)
	if !ok {
		return nil, errors.New("cannot be solved")
	}
	size := len(fields)
	code, err := m.read(arch.Addr(at), uint64(size)+8)
	if err != nil {
		return nil, err
	}
	back, err := m.arch.Decode(code[size:], arch.Addr(at)+arch.Addr(size))
	if err != nil || back.Kind != arch.Jump || back.Target != o.P+arch.Addr(size) {
		return nil, errors.New("the code that was moved does not come back")
	}
	for i, m := range fields {
		if code[i]&^m != orig[i]&^m {
			return nil, errors.New("another instruction was moved")
		}
	}
	return code[:size], nil
}

// errUnsolved: an address is not known yet of which a field tells a part.
var errUnsolved = errors.New("only a part of the address is told, and nothing else tells the rest")

// offsetTable is the symbol of the table of slots, of which every module has its
// own.
const offsetTable = "_GLOBAL_OFFSET_TABLE_"

// subject is what several fields of one function tell parts of.
type subject struct {
	target *atom
	name   string
	symbol *symbol // of a slot: linkers give each symbol its own
	by     byte
	need   arch.Need
	branch bool
}

func (l *lesson) subject(by byte) subject {
	s := subject{target: l.ref.target, by: by, need: l.howto.Need, branch: l.ref.branch}
	if s.target == nil {
		s.name = l.ref.sym.name
	}
	if by == 'G' {
		s.symbol = l.ref.sym
	} else {
		s.need = 0
	}
	return s
}

// clue is what the field tells; ok is false where it tells nothing.
func (l *lesson) clue() (arch.Clue, bool) {
	if l.rewrite != nil {
		return l.rewrite.Clue(l.place, l.operands)
	}
	return l.howto.Clue(l.place, l.operands)
}

// study takes all lessons of an atom.
func (p *prover) study(lessons []lesson) error {
	parts := map[subject][]arch.Clue{}
	for i := range lessons {
		l := &lessons[i]
		if c, ok := l.clue(); ok && (c.Lo != 0 || c.Hi != 64) {
			s := l.subject(c.By)
			parts[s] = append(parts[s], c)
		}
	}
	for i := range lessons {
		if err := p.take(&lessons[i], parts); err != nil {
			return fmt.Errorf("+%#x: %s: %w", lessons[i].ref.off, lessons[i].name, err)
		}
	}
	return nil
}

// take solves a field and wants that it is what the solution gives.
func (p *prover) take(l *lesson, parts map[subject][]arch.Clue) error {
	h, o := l.howto, l.operands
	if h.Size == 0 {
		return nil
	}
	if l.rewrite == nil && h.Size == 8 && h.Need == arch.NeedNothing && !p.object.pcRelative(l.ref.typ) {
		return p.word(l.ref, o)
	}
	c, ok := l.clue()
	if !ok {
		return fmt.Errorf("%s cannot be solved", h.Expr.Text)
	}
	v := int64(c.Sum) - c.Addend
	if c.Lo != 0 || c.Hi != 64 {
		if v, ok = arch.Solve(parts[l.subject(c.By)]); !ok {
			at, known := p.addr[l.ref.target]
			if l.ref.target == nil && l.ref.sym.name == offsetTable {
				at, known = p.got, true
			}
			if c.By != 'S' || !known {
				return errUnsolved
			}
			v = int64(at)
		}
	} else if l.rewrite == nil && h.Size == 4 && c.By == 'S' && !p.object.pcRelative(l.ref.typ) {
		v = int64(uint32(v)) // fields of absolute addresses are as wide as the address
	}
	set(&o, c.By, v)
	if err := l.agrees(o); err != nil {
		return err
	}
	return p.learn(l.ref, c.By, v, h.Need, l.localExec)
}

// agrees computes the field again.
func (l *lesson) agrees(o arch.Operands) error {
	want := bytes.Clone(l.place)
	var err error
	if l.rewrite != nil {
		want, err = l.rewrite.Expect(o)
	} else {
		err = l.howto.Apply(want, o)
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(want, l.place) {
		return fmt.Errorf("% x instead of % x", l.place, want)
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

// word learns from a pointer, as it is after the dynamic linker's relocations.
func (p *prover) word(r *ref, o arch.Operands) error {
	w, err := p.image.word(o.P)
	switch {
	case err != nil:
		return err
	case w.sym == nil:
		return p.learnAddr(r, int64(w.addr)-r.addend)
	case w.addend != p.symbolAddend(r):
		return fmt.Errorf("%s%+d instead of %+d", w.sym.name, w.addend, p.symbolAddend(r))
	}
	return p.learnDynamic(r, w.sym, 0, 0)
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

// called says whether a reference can be looked up by a name.
func (r *ref) called(name string) bool {
	return r.sym != nil && sameName(r.sym.name, name) || r.target != nil && r.target.called(name)
}

// sameName says whether two names are the same, where one may lack the version
// that the other has: name@version, or name@@version.
func sameName(a, b string) bool {
	x, _, versioned := strings.Cut(a, "@")
	y, _, too := strings.Cut(b, "@")
	return a == b || x == y && !(versioned && too)
}

func (p *prover) binding(name string) *binding {
	b := p.names[name]
	if b == nil {
		b = &binding{}
		p.names[name] = b
	}
	return b
}
