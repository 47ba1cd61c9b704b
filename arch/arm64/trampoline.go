// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"encoding/binary"

	"github.com/ulpatch/ulpatch/arch"
)

// trampoline knows what linkers put between a branch and its target:
//
//	adrp x16; ldr x17, [x16]; add x16; br x17    PLT of all linkers
//	adrp x16; ldr x17, [x16]; br x17             .plt.got of mold
//	adrp x16; add x16; br x16                    thunk of bfd, lld and mold
//	ldr x16, .+8; br x16; .quad                  thunk of lld, absolute
//	ldr x16, .+16; adr x17, .; add x16; br x16; .quad   thunk of bfd, relative
//	b                                            thunk of lld; bfd's pad for BTI
//
// each with bti c before it, and a PLT with autia1716 or a nop before br.
func trampoline(code []byte, at arch.Addr) (arch.Trampoline, bool) {
	r := reader{code: code, at: at}
	if r.peek() == btiC {
		r.next()
	}
	first, from := r.next(), r.last()
	switch {
	case first&0xfc000000 == b:
		return arch.Trampoline{Len: r.pos, To: r.target()}, true
	case first&0x9f00001f == adrpX16:
		return r.viaPage(r.target())
	case first == ldrX16 && r.next() == brX16:
		return r.literal(from+8, 0)
	case first == ldrX16Far && r.next() == adrX17:
		base := r.last()
		if r.next() == addX16X17 && r.next() == brX16 {
			return r.literal(from+16, base)
		}
	}
	return arch.Trampoline{}, false
}

const (
	autia1716 = 0xd503219f
	brX17     = 0xd61f0220
	ldrX16Far = 0x58000090 // ldr x16, .+16
	adrX17    = 0x10000011 // adr x17, .
	addX16X17 = 0x8b110210 // add x16, x16, x17
)

// reader takes code a word at a time; behind the end there is udf.
type reader struct {
	code []byte
	at   arch.Addr
	pos  int
}

func (r *reader) peek() uint32 {
	if r.pos+wordSize > len(r.code) {
		return 0
	}
	return binary.LittleEndian.Uint32(r.code[r.pos:])
}

func (r *reader) next() uint32 {
	w := r.peek()
	r.pos += wordSize
	return w
}

// last is the address of the word that was taken last.
func (r *reader) last() arch.Addr { return r.at + arch.Addr(r.pos-wordSize) }

func (r *reader) target() arch.Addr {
	insn, err := decode(r.code[r.pos-wordSize:], r.last())
	if err != nil {
		return 0 // not reached: it was read
	}
	return insn.Target
}

// viaPage reads what follows adrp x16.
func (r *reader) viaPage(page arch.Addr) (arch.Trampoline, bool) {
	const (
		offset  = 0xffc003ff
		addX16  = 0x91000210 // add x16, x16, #0
		ldrX17X = 0xf9400211 // ldr x17, [x16]
	)
	w := r.next()
	imm := arch.Addr(w >> 10 & 0xfff)
	switch w & offset {
	case addX16:
		ok := r.next() == brX16
		return arch.Trampoline{Len: r.pos, To: page + imm}, ok
	case ldrX17X:
		slot := page + imm*8
		if w := r.peek(); w&offset == addX16 {
			if page+arch.Addr(w>>10&0xfff) != slot {
				return arch.Trampoline{}, false
			}
			r.next()
		}
		if w := r.peek(); w == autia1716 || w == nop {
			r.next()
		}
		ok := r.next() == brX17
		return arch.Trampoline{Len: r.pos, To: slot, Slot: true}, ok
	}
	return arch.Trampoline{}, false
}

// literal reads the 8 bytes at at, which count from base.
func (r *reader) literal(at, base arch.Addr) (arch.Trampoline, bool) {
	off := int(at - r.at)
	if off+8 > len(r.code) {
		return arch.Trampoline{}, false
	}
	return arch.Trampoline{Len: r.pos, To: base + arch.Addr(binary.LittleEndian.Uint64(r.code[off:]))}, true
}
