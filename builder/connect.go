// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"fmt"
	"sort"

	"github.com/ulpatch/ulpatch/arch"
)

func isTrap(in arch.Insn) bool { return in.Kind == arch.Stop }

// connect makes references of the relocations. Code is decoded first: where it
// refers to tells where the tables of a read-only section begin.
func (o *object) connect() error {
	for _, sec := range o.sections {
		if sec == nil {
			continue
		}
		if sec.pieces != nil && len(sec.relocs) > 0 {
			return fmt.Errorf("section %s: relocations in a mergeable section", sec.name)
		}
		for _, a := range sec.atoms {
			if a.kind == kindCode {
				o.adjustRelocs(a)
			}
		}
	}
	for _, sec := range o.sections {
		if sec != nil {
			o.cutTables(sec)
		}
	}
	for _, sec := range o.sections {
		if sec == nil || sec.pieces != nil {
			continue
		}
		for _, a := range sec.atoms {
			if err := o.connectAtom(a); err != nil {
				return err
			}
		}
	}
	return nil
}

// relocsIn returns the relocations with from <= off < to.
func (s *section) relocsIn(from, to uint64) []rela {
	i := sort.Search(len(s.relocs), func(i int) bool { return s.relocs[i].off >= from })
	j := sort.Search(len(s.relocs), func(i int) bool { return s.relocs[i].off >= to })
	return s.relocs[i:j]
}

// adjustRelocs finds out what the PC-relative relocations of a function count
// from, and where tables begin that it refers to.
func (o *object) adjustRelocs(a *atom) {
	insns := insnCursor{arch: o.arch, code: a.data}
	relocs := a.section.relocsIn(a.off, a.off+a.size)
	for i := range relocs {
		r := &relocs[i]
		if o.pcRelative(r.typ) {
			r.adjust = insns.adjust(r.off-a.off, o.arch.Relocs[r.typ].Size)
		}
		if access := o.arch.AccessReloc; access != nil && r.sym != nil && r.sym.label() && insns.seek(r.off-a.off) {
			r.access = access(r.typ, a.data, insns.at, int(r.off-a.off))
		}
		if r.sym == nil || !r.sym.defined() {
			continue
		}
		at := int64(r.sym.value)
		if r.sym.label() {
			at += r.addend + r.adjust
		}
		if sec := r.sym.section; at >= 0 && uint64(at) < sec.size && sec.pieces == nil {
			if sec.starts == nil {
				sec.starts = map[uint64]bool{}
			}
			sec.starts[uint64(at)] = true
		}
	}
}

// cutTables cuts jump tables out of anonymous read-only data: where code refers
// to a place at which an address is, a table begins. In a table of distances
// the addend of an entry counts from the entry and not from the table, which is
// put right.
func (o *object) cutTables(sec *section) {
	if len(sec.starts) == 0 || sec.pieces != nil {
		return
	}
	var atoms []*atom
	for _, a := range sec.atoms {
		if a.kind != kindLiteral || a.data == nil {
			atoms = append(atoms, a)
			continue
		}
		at := a.off
		relocs := sec.relocsIn(a.off, a.off+a.size)
		var cuts []uint64
		start := uint64(0)
		inTable := false
		for i := range relocs {
			r := &relocs[i]
			if sec.starts[r.off] {
				start, inTable = r.off, true
				if r.off > a.off {
					cuts = append(cuts, r.off)
				}
			}
			if inTable && o.pcRelative(r.typ) {
				r.adjust = -int64(r.off - start)
			}
		}
		sec.atoms = nil
		for _, cut := range append(cuts, a.off+a.size) {
			atoms = append(atoms, o.newAtom(sec, at, cut-at))
			at = cut
		}
	}
	sec.atoms = atoms
}

func (o *object) connectAtom(a *atom) error {
	relocs := a.section.relocsIn(a.off, a.off+a.size)
	for _, r := range relocs {
		h := o.arch.Relocs[r.typ]
		if h.Size == 0 && r.sym == nil {
			continue // a marker
		}
		off := r.off - a.off
		if uint64(h.Size) > a.size-off {
			return fmt.Errorf("%s+%#x: %s: crosses the end of the %s", a, off, o.arch.RelocName(r.typ), a.kind)
		}
		one, err := o.resolve(r)
		if err != nil {
			return fmt.Errorf("%s+%#x: %s: %w", a, off, o.arch.RelocName(r.typ), err)
		}
		one.off = off
		one.branch = a.kind == kindCode && o.arch.BranchReloc(r.typ, a.data, int(off))
		if one.target != nil {
			one.target.referred++
		}
		a.refs = append(a.refs, one)
	}
	if a.kind == kindCode && len(a.section.atoms) > 1 {
		o.recover(a)
	}
	return nil
}

// recover finds the references to other functions of the section that the
// assembler resolved itself.
func (o *object) recover(a *atom) {
	known := map[uint64]bool{}
	for i := range a.refs {
		known[a.refs[i].off] = true
	}
	for at := uint64(0); at < a.size; {
		in, err := o.arch.Decode(a.data[at:], arch.Addr(a.off+at))
		if err != nil || in.Len <= 0 {
			a.opaque = fmt.Sprintf("+%#x cannot be decoded", at)
			return
		}
		field := at + uint64(in.FieldOff)
		to := uint64(in.Target)
		if in.PCRel && !known[field] && (to < a.off || to >= a.off+a.size) {
			typ, ok := o.arch.FieldReloc(a.data[at:])
			t, err := o.atomAt(a.section, int64(to))
			if !ok || err != nil {
				a.opaque = fmt.Sprintf("+%#x refers to %#x of the section, where nothing is", at, to)
				return
			}
			landing := int64(to - t.off)
			a.refs = append(a.refs, ref{off: field, typ: typ, target: t, addend: landing - o.counted(a.data[at:], in), landing: landing})
		}
		at += uint64(in.Len)
	}
	sort.SliceStable(a.refs, func(i, j int) bool { return a.refs[i].off < a.refs[j].off })
}

// counted is how far behind its field an instruction counts from.
func (o *object) counted(code []byte, in arch.Insn) int64 {
	n, err := o.arch.PCAdjust(code, 0, in.FieldOff)
	if err != nil {
		return 0 // it was decoded: not reached
	}
	return n
}

// resolve finds what a relocation refers to. A symbol tells its atom by its
// value; a section's symbol, or a label of the compiler's, tells nothing, there the
// place that is referred to decides.
func (o *object) resolve(r rela) (ref, error) {
	one := ref{typ: r.typ, sym: r.sym, addend: r.addend, landing: r.addend + r.adjust, access: r.access}
	switch {
	case r.sym == nil:
		return one, fmt.Errorf("a relocation without a symbol is not supported")
	case !r.sym.defined():
		if r.sym.name == "" {
			return one, fmt.Errorf("a symbol without a name")
		}
		return one, nil
	}
	at := int64(r.sym.value)
	if r.sym.typ == elf.STT_SECTION || r.sym.label() && r.sym.section.pieces == nil {
		at += r.addend + r.adjust
	}
	target, err := o.atomAt(r.sym.section, at)
	if err != nil {
		return one, err
	}
	delta := int64(r.sym.value) - int64(target.off)
	one.target = target
	one.addend += delta
	one.landing += delta
	return one, nil
}

// pcRelative says whether a type counts from its place.
func (o *object) pcRelative(typ uint32) bool {
	h, ok := o.arch.Relocs[typ]
	return ok && h.Size > 0 && h.Expr.Eval(arch.Operands{}) != h.Expr.Eval(arch.Operands{P: 1 << 20})
}

// insnCursor walks the instructions of a function along its relocations.
type insnCursor struct {
	arch *arch.Arch
	code []byte
	at   int // start of an instruction
	lost bool
}

// seek moves to the instruction that holds off; ok is false where the code
// cannot be decoded up to there.
func (c *insnCursor) seek(off uint64) bool {
	for !c.lost && c.at < len(c.code) {
		in, err := c.arch.Decode(c.code[c.at:], arch.Addr(c.at))
		if err != nil || in.Len <= 0 {
			c.lost = true
			break
		}
		if uint64(c.at+in.Len) > off {
			return true
		}
		c.at += in.Len
	}
	return false
}

// adjust is the distance from a field at off, of size bytes, to what its
// instruction counts from. Where the code cannot be decoded the field is taken
// to end the instruction.
func (c *insnCursor) adjust(off uint64, size int) int64 {
	if c.seek(off) {
		if n, err := c.arch.PCAdjust(c.code, c.at, int(off)); err == nil {
			return n
		}
	}
	return int64(size)
}
