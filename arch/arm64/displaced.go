// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"encoding/binary"

	"github.com/ulpatch/ulpatch/arch"
)

// A scaled and an unscaled offset, and that of a pair, in loads and stores that
// leave the base register as it is (Arm ARM, C4.1, "Loads and stores").
const (
	loadStore           = 0x3b000000
	scaled, unscaled    = 0x39000000, 0x38000000
	unscaledBits        = 0x00200c00 // are 0 in those with an unscaled offset
	pair, pairBits      = 0x29000000, 0x3b800000
	vectorBit, wideBit  = 1 << 26, 1 << 23
	prefetch, allOfKind = 0xf8800000, 0xfec00000
)

// displaced is arch.Arch.Displaced. The shape of an access with an unscaled
// offset is that of the same one with a scaled offset.
func displaced(code []byte) (arch.Displaced, bool) {
	if len(code) < wordSize {
		return arch.Displaced{}, false
	}
	w := binary.LittleEndian.Uint32(code)
	d := arch.Displaced{Base: int(w >> 5 & 31)}
	switch {
	case w&allOfKind == prefetch:
		return arch.Displaced{}, false
	case w&loadStore == scaled:
		scale := w >> 30
		if w&vectorBit != 0 && w&wideBit != 0 {
			scale = 4
		}
		d.Disp = int64(w>>10&0xfff) << scale
		w &^= 0xfff << 10
	case w&(loadStore|unscaledBits) == unscaled:
		d.Disp = int64(int32(w<<11) >> 23)
		w = w&^(0x1ff<<12) | scaled
	case w&pairBits == pair:
		scale := 2 + w>>31
		if w&vectorBit != 0 {
			scale = 2 + w>>30
		}
		d.Disp = int64(int32(w<<10)>>25) << scale
		w &^= 0x7f << 15
	default:
		return arch.Displaced{}, false
	}
	d.Shape = binary.LittleEndian.AppendUint32(nil, w)
	return d, true
}

// sets is arch.Arch.Sets. Most instructions have the register that they change in
// the lowest five bits; a store that has one there that it reads counts, too.
func sets(code []byte, reg int) bool {
	if len(code) < wordSize {
		return true
	}
	w := binary.LittleEndian.Uint32(code)
	first, second, base := int(w&31), int(w>>10&31), int(w>>5&31)
	const lastSaved, firstSaved = 28, 19
	switch kind := classOf(w).kind; {
	case kind == arch.Call, kind == arch.IndirectCall:
		return reg < firstSaved || reg > lastSaved
	case w>>24 == 0xd4, w&0x3a000000 == 0x08000000, w&0x3f000000 == 0x19000000: // svc; exclusive, vectors' structures; copies, tags
		return true
	case w&0x3a000000 == 0x28000000: // pairs; bit 23: the base changes as well
		return first == reg || second == reg || w&(1<<23) != 0 && base == reg
	case w&0x3b200400 == 0x38000400: // the base changes as well
		return first == reg || base == reg
	}
	return first == reg
}
