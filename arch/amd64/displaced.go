// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"slices"

	"github.com/ulpatch/ulpatch/arch"
)

// displaced is arch.Arch.Displaced. Bits 6 and 7 of ModRM tell how wide the
// displacement is, and so are no part of the shape.
func displaced(code []byte) (arch.Displaced, bool) {
	d := decoder{code: code[:min(len(code), maxInsnLen)]}
	d.instruction()
	if d.cut || d.invalid || d.nop || d.extended || d.address32 || !d.based {
		return arch.Displaced{}, false
	}
	shape := slices.Clone(d.code[:d.pos])
	shape[d.modrmOff] &^= 0xc0
	disp := int64(0)
	for i := d.dispLen - 1; i >= 0; i-- {
		if b := d.code[d.dispOff+i]; i == d.dispLen-1 {
			disp = int64(int8(b))
		} else {
			disp = disp<<8 | int64(b)
		}
	}
	return arch.Displaced{Base: d.base, Disp: disp, Shape: slices.Delete(shape, d.dispOff, d.dispOff+d.dispLen)}, true
}

// sets is arch.Arch.Sets.
func sets(code []byte, reg int) bool {
	e, ok := oneEffect(code)
	switch {
	case !ok:
		return true
	case e.Op == arch.OpCall:
		return !calleeSaved(reg)
	}
	return e.Op != arch.OpNone && e.Op != arch.OpCompare && e.Dst.Kind == arch.Register && e.Dst.Reg == reg
}
