// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

// endsInCall knows call rel32 (E8) and call r/m64 (FF /2), whatever prefixes
// stand before them.
func endsInCall(code []byte) bool {
	n := len(code)
	if n >= 5 && code[n-5] == 0xe8 {
		return true
	}
	for size := 2; size <= 7 && size <= n; size++ {
		if insn := code[n-size:]; insn[0] == 0xff && insn[1]>>3&7 == 2 && 1+operandSize(insn[1:]) == size {
			return true
		}
	}
	return false
}

// operandSize is the number of bytes of ModRM, SIB and displacement (Intel SDM
// vol. 2, table 2-2 and 2-3).
func operandSize(modrm []byte) int {
	mod, rm := modrm[0]>>6, modrm[0]&7
	size := 1
	if mod != 3 && rm == 4 {
		size++
		if mod == 0 && len(modrm) > 1 && modrm[1]&7 == 5 {
			size += 4
		}
	}
	switch {
	case mod == 1:
		size++
	case mod == 2, mod == 0 && rm == 5:
		size += 4
	}
	return size
}
