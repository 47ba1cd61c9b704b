// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"fmt"
)

// Difference is the first one between an original and a fixed atom.
type Difference struct {
	Offset uint64 `json:"offset"` // bytes from the start
	What   string `json:"what"`
	// Old and New are the instruction of a function at Offset before and after,
	// "" where the difference is not in its code.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`

	elsewhere bool // Offset tells nothing: it is not in the atom's bytes
}

func (d *Difference) String() string { return fmt.Sprintf("+%#x: %s", d.Offset, d.What) }

// comparer compares atoms by their content after relocation.
type comparer struct {
	pairs *pairing
	memo  map[[2]*atom]bool // equality of literals
}

func newComparer(p *pairing) *comparer {
	return &comparer{pairs: p, memo: map[[2]*atom]bool{}}
}

// difference returns the first difference, or nil. Two functions differ also
// where their unwind entries or exception tables do.
func (c *comparer) difference(o, f *atom) *Difference {
	d := c.content(o, f)
	if d == nil && o.kind == kindCode {
		d = c.frames(o, f)
	}
	return d
}

func (c *comparer) content(o, f *atom) *Difference {
	at, differ := firstDifference(o, f)
	for i := range max(len(o.refs), len(f.refs)) {
		d := c.refAt(o, f, i)
		if d == nil {
			continue
		}
		if !differ || d.Offset <= at {
			return d
		}
		break
	}
	switch {
	case differ && (o.data == nil) != (f.data == nil):
		return &Difference{Offset: 0, What: "initialised instead of zero-filled, or the other way round"}
	case differ:
		return &Difference{Offset: at, What: fmt.Sprintf("bytes %s instead of %s", some(f.data, at), some(o.data, at))}
	case o.size != f.size:
		return &Difference{Offset: min(o.size, f.size), What: fmt.Sprintf("%d bytes instead of %d", f.size, o.size)}
	}
	return nil
}

// refAt compares the i-th references.
func (c *comparer) refAt(o, f *atom, i int) *Difference {
	switch {
	case i >= len(f.refs):
		r := &o.refs[i]
		return &Difference{Offset: r.off, What: fmt.Sprintf("no reference instead of one to %s", r.referent())}
	case i >= len(o.refs):
		r := &f.refs[i]
		return &Difference{Offset: r.off, What: fmt.Sprintf("a reference to %s", r.referent())}
	}
	x, y := &o.refs[i], &f.refs[i]
	switch {
	case x.off != y.off:
		return &Difference{Offset: min(x.off, y.off), What: "a reference moved"}
	case x.typ != y.typ:
		return &Difference{Offset: x.off, What: fmt.Sprintf("%s instead of %s", f.object.arch.RelocName(y.typ), o.object.arch.RelocName(x.typ))}
	case !c.sameReferent(x, y) || !c.sameBorder(o, f, x, y):
		return &Difference{Offset: x.off, What: fmt.Sprintf("refers to %s instead of %s", describe(y), describe(x))}
	}
	return nil
}

func (c *comparer) sameReferent(x, y *ref) bool {
	if x.addend != y.addend {
		return false
	}
	switch {
	case x.target == nil && y.target == nil:
		return x.sym.name == y.sym.name
	case x.target == nil || y.target == nil:
		return false
	case anonymous(x.target) && anonymous(y.target):
		return c.sameLiteral(x.target, y.target)
	}
	return c.pairs.toOrig[y.target] == x.target
}

func anonymous(a *atom) bool {
	return a.kind == kindLiteral || a.kind == kindHandlers || a.kind == kindCIE
}

// sameLiteral compares contents. A literal that is being compared (jump tables
// refer to each other's functions) counts as equal.
func (c *comparer) sameLiteral(o, f *atom) bool {
	key := [2]*atom{o, f}
	if same, known := c.memo[key]; known {
		return same
	}
	c.memo[key] = true
	same := c.content(o, f) == nil
	c.memo[key] = same
	return same
}

// cieField are the bytes of an FDE that tell where its CIE is.
const cieField = 4

func (c *comparer) frames(o, f *atom) *Difference {
	if len(o.frames) != len(f.frames) {
		return &Difference{What: "other unwind entries", elsewhere: true}
	}
	for i := range o.frames {
		x, y := o.frames[i], f.frames[i]
		if c.sameFrame(x, y) && c.sameFrame(x.cie, y.cie) {
			continue
		}
		return &Difference{What: "another unwind entry or exception table", elsewhere: true}
	}
	return nil
}

// sameFrame compares two FDEs, or two CIEs, apart from where they are.
func (c *comparer) sameFrame(x, y *atom) bool {
	if len(x.refs) != len(y.refs) || !bytes.Equal(frameContent(x), frameContent(y)) {
		return false
	}
	for i := range x.refs {
		if (x.kind == kindCIE || x.refs[i].off != pcBegin) && c.refAt(x, y, i) != nil {
			return false
		}
	}
	return true
}

// frameContent is an entry without its length, the link to its CIE and the
// DW_CFA_nop that fill it up: the last of a section has more of them.
func frameContent(a *atom) []byte {
	return bytes.TrimRight(masked(a)[cieField+4:], "\x00")
}

// firstDifference compares bytes outside relocated fields.
func firstDifference(o, f *atom) (at uint64, differ bool) {
	if (o.data == nil) != (f.data == nil) {
		return 0, true
	}
	x, y := masked(o), masked(f)
	n := min(len(x), len(y))
	for i := range n {
		if x[i] != y[i] {
			return uint64(i), true
		}
	}
	return 0, false
}

// masked returns the atom's bytes with every relocated field cleared.
func masked(a *atom) []byte {
	if len(a.refs) == 0 {
		return a.data
	}
	b := bytes.Clone(a.data)
	for _, r := range a.refs {
		h := a.object.arch.Relocs[r.typ]
		for i, m := range h.Mask() {
			b[int(r.off)+i] &^= m
		}
	}
	return b
}

// some shows the bytes at a difference.
func some(b []byte, at uint64) string {
	const few = 4
	if at >= uint64(len(b)) {
		return "nothing"
	}
	return fmt.Sprintf("% x", b[at:min(at+few, uint64(len(b)))])
}

// describe names what a reference refers to, a string by its content.
func describe(r *ref) string {
	if r.target == nil || r.target.kind != kindLiteral || len(r.target.refs) > 0 {
		return r.referent()
	}
	const most = 48
	text := bytes.TrimRight(r.target.data, "\x00")
	if len(text) == 0 || bytes.ContainsFunc(text, func(c rune) bool { return c < ' ' && c != '\n' && c != '\t' || c == 0xfffd }) {
		return fmt.Sprintf("data % x", r.target.data[:min(len(r.target.data), 16)])
	}
	if len(text) > most {
		return fmt.Sprintf("%q...", text[:most])
	}
	return fmt.Sprintf("%q", text)
}
