// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"encoding/binary"

	"github.com/ulpatch/ulpatch/arch"
)

// bound is arch.Arch.Bound.
func bound(code []byte) (arch.Bound, bool) {
	if len(code) < wordSize {
		return arch.Bound{}, false
	}
	w := word(binary.LittleEndian.Uint32(code))
	const eq, ne, cs, cc, hi, ls = 0, 1, 2, 3, 8, 9
	switch {
	case w&0xff000010 == 0x54000000: // b.cond
		switch w.field(0, 4) {
		case eq, ls:
			return arch.Bound{Taken: true}, true
		case ne, hi:
			return arch.Bound{}, true
		case cs:
			return arch.Bound{Delta: -1}, true
		case cc:
			return arch.Bound{Taken: true, Delta: -1}, true
		}
	case w&0x7e000000 == 0x34000000 && w.rd() != 31: // cbz, cbnz
		const most = 1<<63 - 1
		return arch.Bound{Taken: !w.bit(24), Reg: orZero(w.rd(), w.width()), Most: 0, If: most}, true
	case w&0x7e000000 == 0x36000000 && w.rd() != 31: // tbz, tbnz
		n := uint(w.field(31, 1)<<5 | w.field(19, 5))
		if n >= 62 {
			break
		}
		size := 64
		if n < 32 {
			size = 32
		}
		return arch.Bound{Taken: !w.bit(24), Reg: orZero(w.rd(), size), Most: 1<<n - 1, If: 2<<n - 1}, true
	}
	return arch.Bound{}, false
}
