// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import "encoding/binary"

// movesStack is arch.Arch.MovesStack. Register 31 is the stack pointer in a few
// instructions only; of loads and stores it is the base, which may change.
func movesStack(code []byte) bool {
	if len(code) < wordSize {
		return true
	}
	const sp = 31
	w := binary.LittleEndian.Uint32(code)
	rd, rn, rm := w&31, w>>5&31, w>>16&31
	switch {
	case w>>24 == 0xd4: // svc: rt_sigreturn is a system call
		return true
	case w&0x3f800000 == 0x11000000: // add, sub of an immediate; mov from and to sp
		return rd == sp && rn != sp
	case w&0x7f800000 == 0x12000000, w&0x7f800000 == 0x32000000, w&0x7f800000 == 0x52000000: // and, orr, eor of an immediate
		return rd == sp
	case w&0x3fe00000 == 0x0b200000: // add, sub of an extended register
		return rd == sp
	case w&0xbf800000 == 0x91800000: // addg, subg
		return rd == sp
	case w&0xffe0fc00 == 0x9ac01000, w>>24 == 0x04: // irg; addvl and the like of SVE
		return rd == sp
	case w&0xbfa00000 == 0x0c800000, w&0xbf800000 == 0x0d800000: // structures of vectors, the base changes
		return rn == sp && rm != sp
	}
	return false
}
