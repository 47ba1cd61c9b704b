// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"debug/elf"

	"github.com/ulpatch/ulpatch/arch"
)

// initialExec is for a slot of the offset (IE) that became the offset (LE).
func (s site) initialExec(t elf.R_AARCH64) []candidate {
	w := s.at(0)
	reg := w & 31
	switch {
	case t == elf.R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21 && w == adrpInsn|reg:
		return []candidate{{"IE -> LE: adrp x -> movz x", []uint32{movzHigh | reg}, toTPHigh}}
	case t == elf.R_AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC && w == ldrInsn|reg<<5|reg:
		return []candidate{{"IE -> LE: ldr x -> movk x", []uint32{movkInsn | reg}, toTPLow}}
	}
	return nil
}

// descriptor is for the sequence that calls a descriptor's resolver, which takes
// and gives x0, and whose instructions stay together. The resolver's address may
// be in any other register.
func (s site) descriptor(t elf.R_AARCH64) []candidate {
	movz := func(name string) candidate {
		return candidate{"TLSDESC -> LE: " + name + " -> movz", []uint32{movzHigh}, toTPHigh}
	}
	movk := func(name string) candidate {
		return candidate{"TLSDESC -> LE: " + name + " -> movk", []uint32{movkInsn}, toTPLow}
	}
	gone := func(name string) candidate {
		return candidate{"TLSDESC -> LE or IE: " + name + " -> nop", []uint32{nop}, arch.Marker}
	}
	w := s.at(0)
	reg := w & 31
	switch {
	case t == elf.R_AARCH64_TLSDESC_ADR_PAGE21 && w == adrpInsn:
		all := []candidate{movz("adrp")}
		if s.at(1)&^31 == ldrInsn && s.at(1) != ldrInsn && s.became(1, ldrInsn, toGOTTPLow) { // else it is as it was
			all = append(all, candidate{"TLSDESC -> IE: adrp", []uint32{adrpInsn}, toGOTTPPage})
		}
		return all
	case t == elf.R_AARCH64_TLSDESC_LD64_LO12_NC && w == ldrInsn|reg && reg != 0:
		return []candidate{movk("ldr"), {"TLSDESC -> IE: ldr x1 -> ldr x0", []uint32{ldrInsn}, toGOTTPLow}}
	case t == elf.R_AARCH64_TLSDESC_ADD_LO12_NC && w == addInsn:
		return []candidate{gone("add")}
	case t == elf.R_AARCH64_TLSDESC_CALL && w&^(31<<5) == blrInsn:
		return []candidate{gone("blr")}
	case t == elf.R_AARCH64_TLSDESC_LD_PREL19 && w == ldrLit|reg && reg != 0: // tiny code model
		return []candidate{movz("ldr x1, literal"), {"TLSDESC -> IE: ldr x1 -> ldr x0, literal", []uint32{ldrLit}, toGOTTP}}
	case t == elf.R_AARCH64_TLSDESC_ADR_PREL21 && w == adrInsn:
		return []candidate{movk("adr"), gone("adr")}
	}
	return nil
}

// dynamic is for calls of __tls_get_addr, general dynamic (GD) and local dynamic
// (LD). The call's relocation belongs to the rewrite.
func (s site) dynamic(t elf.R_AARCH64) []candidate {
	w := s.at(0)
	call := s.at(1) == blInsn && s.at(2) == nop
	switch {
	case t == elf.R_AARCH64_TLSGD_ADR_PAGE21 && w == adrpInsn:
		all := []candidate{{"GD -> LE: adrp -> movz", []uint32{movzHigh}, toTPHigh}}
		if s.at(1) == addInsn && s.became(1, ldrInsn, toGOTTPLow) {
			all = append(all, candidate{"GD -> IE: adrp", []uint32{adrpInsn}, toGOTTPPage})
		}
		return all
	case t == elf.R_AARCH64_TLSGD_ADD_LO12_NC && w == addInsn && call:
		return []candidate{
			{"GD -> LE: add; bl; nop -> movk; mrs; add", []uint32{movkInsn, mrsX1TP, addX0X1}, toTPLow},
			{"GD -> IE: add; bl; nop -> ldr; mrs; add", []uint32{ldrInsn, mrsX1TP, addX0X1}, toGOTTPLow},
		}
	case t == elf.R_AARCH64_TLSLD_ADR_PAGE21 && w == adrpInsn && s.at(1) == addInsn && s.at(2) == blInsn:
		return []candidate{{"LD -> LE: adrp; add; bl -> mrs; add; nop", []uint32{mrsX0TP, addTCB, nop}, arch.Marker}}
	}
	return nil
}
