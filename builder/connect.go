// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"fmt"

	"github.com/ulpatch/ulpatch/arch"
)

func isTrap(in arch.Insn) bool { return in.Kind == arch.Stop }

// connect makes references of the relocations. Code comes first: where it
// refers to tells where the tables of a read-only section begin.
func (o *object) connect() error {
	for _, wantCode := range []bool{true, false} {
		for _, sec := range o.sections {
			if sec == nil || (sec.flags&elf.SHF_EXECINSTR != 0) != wantCode {
				continue
			}
			if err := o.connectSection(sec); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *object) connectSection(sec *section) error {
	atoms := sec.atoms // those of a mergeable section have no relocations
	if sec.pieces != nil && len(sec.relocs) > 0 {
		return fmt.Errorf("section %s: relocations in a mergeable section", sec.name)
	}
	next := 0
	for _, a := range atoms {
		for next < len(sec.relocs) && sec.relocs[next].off < a.off {
			next++
		}
		from := next
		for next < len(sec.relocs) && sec.relocs[next].off < a.off+a.size {
			next++
		}
		if err := o.connectAtom(a, sec.relocs[from:next]); err != nil {
			return err
		}
	}
	return nil
}

func (o *object) connectAtom(a *atom, relocs []rela) error {
	insns := insnCursor{arch: o.arch, code: a.data}
	for _, r := range relocs {
		if o.arch.Relocs[r.typ].Size == 0 && r.sym == nil {
			continue // a marker
		}
		off := r.off - a.off
		if uint64(o.arch.Relocs[r.typ].Size) > a.size-off {
			return fmt.Errorf("%s+%#x: %s: crosses the end of the %s", a, off, o.arch.RelocName(r.typ), a.kind)
		}
		adjust := int64(0)
		if a.kind == kindCode && o.pcRelative(r.typ) {
			adjust = insns.adjust(off, o.arch.Relocs[r.typ].Size)
		}
		one, err := o.resolve(a, r, adjust)
		if err != nil {
			return fmt.Errorf("%s+%#x: %s: %w", a, off, o.arch.RelocName(r.typ), err)
		}
		one.off = off
		a.refs = append(a.refs, one)
	}
	return nil
}

// resolve finds what a relocation refers to. A symbol tells its atom by its
// value; a section's symbol tells nothing, there the place that is referred to
// decides.
func (o *object) resolve(a *atom, r rela, adjust int64) (ref, error) {
	one := ref{typ: r.typ, sym: r.sym, addend: r.addend, landing: r.addend + adjust}
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
	if r.sym.typ == elf.STT_SECTION {
		at += r.addend + adjust
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
