// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"encoding/binary"

	"github.com/ulpatch/ulpatch/arch"
)

const wordSize = 4

// bitField is the width bits of an instruction from bit lo on, which hold X less
// its shift low bits.
func bitField(lo, width, shift uint, signed bool) arch.Field {
	mask := uint32(1<<width-1) << lo
	return arch.Field{
		Put: func(place []byte, x int64) {
			w := binary.LittleEndian.Uint32(place)
			binary.LittleEndian.PutUint32(place, w&^mask|uint32(x>>shift)<<lo&mask)
		},
		Get: func(place []byte) int64 {
			v := int64(binary.LittleEndian.Uint32(place) & mask >> lo)
			if signed {
				v = v << (64 - width) >> (64 - width)
			}
			return v << shift
		},
	}
}

// The names are those of AAELF64 and of the instruction set.
var (
	imm26   = bitField(0, 26, 2, true) // b, bl
	imm19   = bitField(5, 19, 2, true) // b.cond, cbz, ldr literal
	imm14   = bitField(5, 14, 2, true) // tbz
	adr     = splitField(0)
	adrp    = splitField(12)
	add     = bitField(10, 12, 0, false)
	addHigh = bitField(10, 12, 12, false)
	ldst15  = bitField(10, 12, 3, false) // the unsigned offset of ldr, 8 bytes
)

// ldst is the unsigned offset of a load or store of 1<<shift bytes, for the bits
// of X below 12.
func ldst(shift uint) arch.Field {
	imm := bitField(10, 12, shift, false)
	return arch.Field{
		Put: func(place []byte, x int64) { imm.Put(place, x&0xfff) },
		Get: imm.Get,
	}
}

// splitField is that of adr and adrp: the lowest two bits stand apart.
func splitField(shift uint) arch.Field {
	low, high := bitField(29, 2, shift, false), bitField(5, 19, shift+2, true)
	return arch.Field{
		Put: func(place []byte, x int64) { low.Put(place, x); high.Put(place, x) },
		Get: func(place []byte) int64 { return high.Get(place) | low.Get(place) },
	}
}

// group is the 16 bits of movz and movk for group n of X.
func group(n uint) arch.Field { return bitField(5, 16, 16*n, false) }

// signedGroup is group, where the instruction becomes movn for a negative X and
// movz for any other.
func signedGroup(n uint) arch.Field {
	const movz = 1 << 30
	imm := group(n)
	return arch.Field{
		Put: func(place []byte, x int64) {
			w := binary.LittleEndian.Uint32(place) | movz
			if x < 0 {
				w &^= movz
				x = ^x
			}
			binary.LittleEndian.PutUint32(place, w)
			imm.Put(place, x)
		},
		Get: func(place []byte) int64 {
			x := imm.Get(place)
			if binary.LittleEndian.Uint32(place)&movz == 0 {
				return ^x
			}
			return x
		},
	}
}
