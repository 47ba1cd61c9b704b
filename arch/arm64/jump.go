// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/ulpatch/ulpatch/arch"
)

const (
	jumpSize    = 4
	farJumpSize = 16
	stubSize    = 16

	// reach leaves 1 MiB of the 128 MiB of b for a payload's own extent.
	reach = 0x7f00000
	// farReach leaves 1 MiB of the 4 GiB of adrp for symbols with addends and a
	// payload's own extent.
	farReach = 0xfff00000

	b       = 0x14000000
	brX16   = 0xd61f0200 // br x16
	ldrX16  = 0x58000050 // ldr x16, .+8
	adrpX16 = 0x90000010 // adrp x16, 0
	ldrX16X = 0xf9400210 // ldr x16, [x16]
	btiC    = 0xd503245f
	btiJ    = 0xd503249f
	btiJC   = 0xd50324df
	paciasp = 0xd503233f
	pacibsp = 0xd503237f
	// Those of FEAT_PAuth_LR, which sign with their own address besides.
	paciasppc = 0xdac1a3fe
	pacibsppc = 0xdac1a7fe
	ret       = 0xd65f03c0
	ldrX0X08  = 0xf9400400 // ldr x0, [x0, #8]
)

func words(insns ...uint32) []byte {
	var code []byte
	for _, w := range insns {
		code = binary.LittleEndian.AppendUint32(code, w)
	}
	return code
}

var (
	landingPad = words(btiC)

	// A resolver is called indirectly, with x0 at the descriptor, whose second
	// word is the argument; it returns the offset in x0 and keeps all else.
	tlsDescReturn = words(btiC, ldrX0X08, ret)
)

// entry lets a pad that is nothing else be. One that signs the return address is
// a pad as well, for calls, but must not run before the new function signs it
// again: there a plain pad takes its place.
func entry(code []byte) arch.Entry {
	if len(code) < wordSize {
		return arch.Entry{}
	}
	switch binary.LittleEndian.Uint32(code) {
	case btiC, btiJ, btiJC:
		return arch.Entry{Skip: wordSize}
	case paciasp, pacibsp, paciasppc, pacibsppc:
		return arch.Entry{Pad: bytes.Clone(landingPad)}
	}
	return arch.Entry{}
}

// lands is for br x16, which may go where a call may.
func lands(code []byte) bool {
	if len(code) < wordSize {
		return false
	}
	switch binary.LittleEndian.Uint32(code) {
	case btiC, btiJ, btiJC, paciasp, pacibsp, paciasppc, pacibsppc:
		return true
	}
	return false
}

// jump is b.
func jump(from, to arch.Addr) ([]byte, error) {
	code := words(b)
	howto := arch.Howto{Name: "b", Size: jumpSize, Expr: sAP, Check: arch.Signed(28).Align(4), Field: imm26}
	if err := howto.Apply(code, arch.Operands{S: to, P: from}); err != nil {
		return nil, fmt.Errorf("from %#x to %#x: %w", uint64(from), uint64(to), err)
	}
	return code, nil
}

// farJump goes through x16, which belongs to nobody between a call and the
// function that is called (AAPCS64, IP0). With that register br may land on a
// pad for calls.
func farJump(to arch.Addr) []byte {
	return binary.LittleEndian.AppendUint64(words(ldrX16, brX16), uint64(to))
}

// stub is farJump through a slot. It is branched to directly and needs no pad.
func stub(at, slot arch.Addr) ([]byte, error) {
	code := words(adrpX16, ldrX16X, brX16, nop)
	o := arch.Operands{S: slot, P: at}
	for i, howto := range []arch.Howto{
		{Name: "adrp", Size: wordSize, Expr: page, Check: arch.Signed(33), Field: adrp},
		{Name: "ldr", Size: wordSize, Expr: sPart(0, 12), Check: arch.Unchecked.Align(8), Field: ldst(3)},
	} {
		if err := howto.Apply(code[i*wordSize:], o); err != nil {
			return nil, fmt.Errorf("stub at %#x for slot %#x: %w", uint64(at), uint64(slot), err)
		}
	}
	return code, nil
}

// tpOffset follows variant I: the block lies above the thread pointer, behind
// two words of the C library's, at the first place that is congruent to p_vaddr
// modulo p_align.
func tpOffset(off, _, align, vaddr uint64) int64 {
	const tcbSize = 16
	if align == 0 {
		align = 1
	}
	return int64(off + tcbSize + (vaddr-tcbSize)&(align-1))
}
