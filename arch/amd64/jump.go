// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/ulpatch/ulpatch/arch"
)

const (
	jumpSize = 5
	stubSize = 8

	// reach leaves 1 MiB of the 2 GiB for the ends of instructions, symbols with
	// addends and a payload's own extent.
	reach = 0x7ff00000
)

var (
	landingPad = []byte{0xf3, 0x0f, 0x1e, 0xfa} // endbr64

	// A resolver is called indirectly, with %rax at the descriptor, whose second
	// word is the argument; it returns the offset in %rax and keeps all else.
	tlsDescReturn = []byte{
		0xf3, 0x0f, 0x1e, 0xfa, // endbr64
		0x48, 0x8b, 0x40, 0x08, // mov 8(%rax),%rax
		0xc3, // ret
	}
)

// jump is jmp rel32.
func jump(from, to arch.Addr) ([]byte, error) {
	rel, err := rel32(from+jumpSize, to)
	if err != nil {
		return nil, fmt.Errorf("jmp from %#x to %#x: %w", uint64(from), uint64(to), err)
	}
	return binary.LittleEndian.AppendUint32([]byte{0xe9}, rel), nil
}

// stub is jmp *slot(%rip), filled up with int3. Where S needs a landing pad it
// has one: its address was taken for the GOT.
func stub(at, slot arch.Addr) ([]byte, error) {
	const length = 6
	rel, err := rel32(at+length, slot)
	if err != nil {
		return nil, fmt.Errorf("stub at %#x for slot %#x: %w", uint64(at), uint64(slot), err)
	}
	code := binary.LittleEndian.AppendUint32([]byte{0xff, 0x25}, rel)
	return append(code, 0xcc, 0xcc), nil
}

func rel32(next, to arch.Addr) (uint32, error) {
	d := int64(to - next)
	if d < math.MinInt32 || d > math.MaxInt32 {
		return 0, arch.ErrRange
	}
	return uint32(d), nil
}

// tpOffset follows variant II. The block ends at the thread pointer, but for
// what keeps its start congruent to p_vaddr modulo p_align.
func tpOffset(off, memsz, align, vaddr uint64) int64 {
	if align == 0 {
		align = 1
	}
	size := memsz + -(vaddr+memsz)&(align-1)
	return int64(off - size)
}
