// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"debug/elf"
	"encoding/binary"

	"github.com/ulpatch/ulpatch/arch"
)

// What the instruction of a relocation holds once a linker rewrote it.
var (
	toSymbol     = insn(adr, sAP, arch.Signed(21))
	toPage       = insn(adrp, page, arch.Signed(33))
	toLow        = insn(add, sPart(0, 12), arch.Unchecked)
	toPageByAdr  = insn(adr, arch.Part('S', 12, 64, "Page(S + A) - P", func(o arch.Operands) int64 { return pageOf(symbol(o)) - int64(o.P) }), arch.Signed(21))
	toGPageByAdr = insn(adr, arch.Part('G', 12, 64, "Page(G) - P", func(o arch.Operands) int64 { return pageOf(int64(o.G)) - int64(o.P) }), arch.Signed(21))
	toTPHigh     = insn(group(1), tpPart(16, 64), arch.Unsigned(32)).Needs(arch.NeedTP)
	toTPLow      = insn(group(0), tpPart(0, 16), arch.Unchecked).Needs(arch.NeedTP)
	toGOTTPPage  = slot(adrp, gPage, arch.Signed(33), arch.NeedGOTTP)
	toGOTTPLow   = slot(ldst(3), gLow, arch.Unchecked.Align(8), arch.NeedGOTTP)
	toGOTTP      = slot(imm19, gP, arch.Signed(21).Align(4), arch.NeedGOTTP)

	// The symbol's addend goes with the instruction that was moved.
	toVeneer = insn(imm26, arch.Linear('S', "S - P", func(o arch.Operands) int64 { return int64(o.S - o.P) }), arch.Signed(28).Align(4))

	// No field is left, and S can only have been 0.
	toAbsent = insn(arch.Field{
		Put: func([]byte, int64) {},
		Get: func([]byte) int64 { return 0 },
	}, arch.Linear('S', "S", func(o arch.Operands) int64 { return int64(o.S) }), arch.Unsigned(1).Align(2))
)

// Instructions with zeros for registers and fields.
const (
	adrInsn  = 0x10000000
	adrpInsn = 0x90000000
	addInsn  = 0x91000000 // of 64 bits, an immediate
	ldrInsn  = 0xf9400000 // of 64 bits, an unsigned offset
	ldrLit   = 0x58000000 // of 64 bits
	movzHigh = 0xd2a00000 // of 64 bits, lsl #16
	movkInsn = 0xf2800000 // of 64 bits
	blrInsn  = 0xd63f0000
	blInsn   = 0x94000000
	mrsX1TP  = 0xd53bd041 // mrs x1, tpidr_el0
	addX0X1  = 0x8b000020 // add x0, x1, x0
	mrsX0TP  = 0xd53bd040 // mrs x0, tpidr_el0
	addTCB   = addInsn | 16<<10
)

// candidate is what the instructions from a relocation's on may have become.
type candidate struct {
	name  string
	code  []uint32 // the field being zero
	howto arch.Howto
}

// site is a relocation of the object and the same place in the image. Words that
// lie outside are udf, which no compiler and no linker writes.
type site struct {
	orig, linked []byte
	off          int
}

func wordAt(code []byte, off int) uint32 {
	if off < 0 || off+wordSize > len(code) {
		return 0
	}
	return binary.LittleEndian.Uint32(code[off:])
}

// at is the instruction n words behind the relocation's, in the object.
func (s site) at(n int) uint32 { return wordAt(s.orig, s.off+n*wordSize) }

// became says that the instruction n words behind is in the image, fields aside.
func (s site) became(n int, insn uint32, h arch.Howto) bool {
	return wordAt(s.linked, s.off+n*wordSize)&^mask(h) == insn
}

func mask(h arch.Howto) uint32 {
	if h.Size == 0 {
		return 0
	}
	return binary.LittleEndian.Uint32(h.Mask())
}

func (s site) choose(candidates []candidate) (arch.Rewrite, bool) {
next:
	for _, c := range candidates {
		for i, w := range c.code {
			h := arch.Marker
			if i == 0 {
				h = c.howto
			}
			if !s.became(i, w, h) {
				continue next
			}
		}
		return arch.Rewrite{Name: c.name, End: len(c.code) * wordSize, Bytes: words(c.code...), Howto: c.howto}, true
	}
	return arch.Rewrite{}, false
}

// relax knows the rewrites of bfd (ld), lld and mold. Fields of the object are
// zero, as all assemblers leave them: the addend is in the relocation.
func relax(typ uint32, orig, linked []byte, off int) (arch.Rewrite, bool) {
	s := site{orig, linked, off}
	switch t := elf.R_AARCH64(typ); t {
	case elf.R_AARCH64_NONE: // behind adrp of a slot, from which the address was loaded in between
		return s.veneer()
	case elf.R_AARCH64_CALL26, elf.R_AARCH64_JUMP26:
		if w := s.at(0); w != b && w != blInsn {
			return arch.Rewrite{}, false
		}
		return s.choose([]candidate{{"branch to an absent symbol -> nop", []uint32{nop}, toAbsent}})
	case elf.R_AARCH64_ADR_PREL_PG_HI21, elf.R_AARCH64_ADD_ABS_LO12_NC, elf.R_AARCH64_ADR_GOT_PAGE:
		return s.choose(append(s.address(t), s.erratum(t)...))
	case elf.R_AARCH64_LD64_GOT_LO12_NC:
		if r, ok := s.choose(s.address(t)); ok {
			return r, true
		}
		return s.veneer()
	case elf.R_AARCH64_LDST8_ABS_LO12_NC, elf.R_AARCH64_LDST16_ABS_LO12_NC, elf.R_AARCH64_LDST32_ABS_LO12_NC,
		elf.R_AARCH64_LDST64_ABS_LO12_NC, elf.R_AARCH64_LDST128_ABS_LO12_NC:
		return s.veneer()
	case elf.R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21, elf.R_AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC:
		if r, ok := s.choose(append(s.initialExec(t), s.erratum(t)...)); ok {
			return r, true
		}
		return s.veneer()
	case elf.R_AARCH64_TLSDESC_ADR_PAGE21:
		return s.choose(append(s.descriptor(t), s.erratum(t)...))
	}
	return s.choose(append(s.descriptor(elf.R_AARCH64(typ)), s.dynamic(elf.R_AARCH64(typ))...))
}

// address is for the pair that computes an address, or loads it from a slot, and
// both for one register. bfd leaves it as it is.
func (s site) address(t elf.R_AARCH64) []candidate {
	at := 0 // of adrp
	if t == elf.R_AARCH64_ADD_ABS_LO12_NC || t == elf.R_AARCH64_LD64_GOT_LO12_NC {
		at = -1
	}
	reg := s.at(at) & 31
	both := reg<<5 | reg
	second := s.at(at + 1)
	if s.at(at) != adrpInsn|reg || second != addInsn|both && second != ldrInsn|both {
		return nil
	}
	slot := second == ldrInsn|both
	var all []candidate
	switch {
	case s.became(at, nop, arch.Marker) && s.became(at+1, adrInsn|reg, toSymbol):
		all = []candidate{{"adrp x; add x -> nop; adr x", []uint32{nop}, arch.Marker}, {"adrp x; add x -> nop; adr x", []uint32{adrInsn | reg}, toSymbol}}
		if slot {
			all[0].name = "adrp x@GOT; ldr x@GOT -> nop; adr x"
			all[1].name = all[0].name
		}
	case slot && s.became(at, adrpInsn|reg, toPage) && s.became(at+1, addInsn|both, toLow):
		const name = "adrp x@GOT; ldr x@GOT -> adrp x; add x"
		all = []candidate{{name, []uint32{adrpInsn | reg}, toPage}, {name, []uint32{addInsn | both}, toLow}}
	default:
		return nil
	}
	return all[-at : 1-at]
}

// erratum is for adrp at the end of a page, which the Cortex-A53 may get wrong
// (843419): where the page is near, adr does.
func (s site) erratum(t elf.R_AARCH64) []candidate {
	howto := toGPageByAdr
	switch t {
	case elf.R_AARCH64_ADR_PREL_PG_HI21:
		howto = toPageByAdr
	case elf.R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21:
		howto.Need = arch.NeedGOTTP
	case elf.R_AARCH64_TLSDESC_ADR_PAGE21:
		howto.Need = arch.NeedTLSDesc
	case elf.R_AARCH64_ADR_GOT_PAGE:
		howto.Need = arch.NeedGOT
	}
	w := s.at(0)
	if w&^31 != adrpInsn {
		return nil
	}
	return []candidate{{"erratum 843419: adrp x -> adr x", []uint32{adrInsn | w&31}, howto}}
}

// veneer is for the load or store behind such an adrp, where the page is not
// near.
func (s site) veneer() (arch.Rewrite, bool) {
	if s.at(0)&0x3b3ffc00 != 0x39000000 { // load or store, unsigned offset
		return arch.Rewrite{}, false
	}
	r, ok := s.choose([]candidate{{"erratum 843419: load or store -> b to a veneer", []uint32{b}, toVeneer}})
	r.Veneer = ok
	return r, ok
}
