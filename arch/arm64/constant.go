// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import "encoding/binary"

// constant is arch.Arch.Constant: movz of the low 16 bits.
func constant(code []byte) (v int64, mask []byte, ok bool) {
	const (
		opcode, movz = 0x7fe00000, 0x52800000 // of either width, not shifted
		field, shift = 0x001fffe0, 5
	)
	if len(code) != 4 {
		return 0, nil, false
	}
	insn := binary.LittleEndian.Uint32(code)
	if insn&opcode != movz {
		return 0, nil, false
	}
	return int64(insn & field >> shift), binary.LittleEndian.AppendUint32(nil, field), true
}
