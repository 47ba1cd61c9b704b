// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"fmt"

	"github.com/ulpatch/ulpatch/arch"
)

// A field that was added to a structure moves those behind it, and where
// padding takes it up the variable keeps its size. The process has its data at
// the old offsets. In code that shows as functions that differ in nothing but
// the offset into a variable.

// shifted returns the variable, and both offsets, of a function that differs
// from its original only so. Literals and functions have no layout.
func (c *comparer) shifted(o, f *atom) (name string, d *Difference) {
	if _, differ := firstDifference(o, f); differ {
		return c.shiftedAccess(o, f)
	}
	if o.size != f.size || len(o.refs) != len(f.refs) {
		return "", nil
	}
	for i := range o.refs {
		x, y := &o.refs[i], &f.refs[i]
		if c.refAt(o, f, i) == nil {
			continue
		}
		moved := *y
		moved.addend = x.addend
		if x.off != y.off || x.typ != y.typ || x.addend == y.addend || !c.sameReferent(x, &moved) || !hasLayout(o, x) {
			return "", nil
		}
		if d == nil {
			name = x.referentName()
			d = &Difference{Offset: x.off, What: fmt.Sprintf("refers to %s instead of %s", y.referent(), x.referent())}
		}
	}
	return name, d
}

// hasLayout says whether a reference may be to a field of a variable.
func hasLayout(from *atom, r *ref) bool {
	if r.target != nil {
		return r.target.kind == kindVariable || r.target.kind == kindTLS
	}
	h := from.object.arch.Relocs[r.typ]
	return h.Need != arch.NeedStub && h.Need != arch.NeedGOT
}

func (r *ref) referentName() string {
	if r.target != nil {
		return r.target.String()
	}
	return r.sym.name
}
