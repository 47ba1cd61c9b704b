// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"debug/elf"

	"github.com/ulpatch/ulpatch/arch"
)

// Types of the APX extension that debug/elf does not name yet: the same as the
// type without CODE_4, for an instruction with a REX2 prefix.
const (
	rCode4GOTPCRELX      elf.R_X86_64 = 43
	rCode4GOTTPOFF       elf.R_X86_64 = 44
	rCode4GOTPC32TLSDesc elf.R_X86_64 = 45
)

// X, in the letters of the psABI, "Relocation Types". Its G is an offset in the
// GOT and ours the address of a slot, so that its G + GOT is our G; its L, the
// PLT entry, is S where a stub took its place; its DTPOFF and TPOFF are DTP + A
// and TP + A.
var (
	sA    = arch.Linear('S', "S + A", func(o arch.Operands) int64 { return int64(o.S) + o.A })
	sAP   = arch.Linear('S', "S + A - P", func(o arch.Operands) int64 { return int64(o.S) + o.A - int64(o.P) })
	sAGOT = arch.Linear('S', "S + A - GOT", func(o arch.Operands) int64 { return int64(o.S) + o.A - int64(o.GOT) })
	gAP   = arch.Linear('G', "G + A - P", func(o arch.Operands) int64 { return int64(o.G) + o.A - int64(o.P) })
	gAGOT = arch.Linear('G', "G + A - GOT", func(o arch.Operands) int64 { return int64(o.G) + o.A - int64(o.GOT) })
	gotAP = arch.Linear('B', "GOT + A - P", func(o arch.Operands) int64 { return int64(o.GOT) + o.A - int64(o.P) })
	tpA   = arch.Linear('T', "TP + A", func(o arch.Operands) int64 { return o.TP + o.A })
	dtpA  = arch.Linear('D', "DTP + A", func(o arch.Operands) int64 { return o.DTP + o.A })
	zA    = arch.Calc("Z + A", func(o arch.Operands) int64 { return int64(o.Z) + o.A })
)

// Relocs is every relocation that this port applies; any other type is refused.
var Relocs = map[elf.R_X86_64]arch.Howto{
	elf.R_X86_64_NONE: arch.Marker,

	elf.R_X86_64_64:  arch.Data(8, sA, arch.Unchecked),
	elf.R_X86_64_32:  arch.Data(4, sA, arch.Unsigned(32)), // the CPU extends with zeros
	elf.R_X86_64_32S: arch.Data(4, sA, arch.Signed(32)),   // the CPU extends the sign
	elf.R_X86_64_16:  arch.Data(2, sA, arch.Either(16)),
	elf.R_X86_64_8:   arch.Data(1, sA, arch.Either(8)),

	elf.R_X86_64_PC64:  arch.Data(8, sAP, arch.Unchecked),
	elf.R_X86_64_PC32:  arch.Data(4, sAP, arch.Signed(32)),
	elf.R_X86_64_PC16:  arch.Data(2, sAP, arch.Signed(16)),
	elf.R_X86_64_PC8:   arch.Data(1, sAP, arch.Signed(8)),
	elf.R_X86_64_PLT32: arch.Data(4, sAP, arch.Signed(32)).Needs(arch.NeedStub),

	elf.R_X86_64_GOTPCREL:      arch.Data(4, gAP, arch.Signed(32)).Needs(arch.NeedGOT),
	elf.R_X86_64_GOTPCRELX:     arch.Data(4, gAP, arch.Signed(32)).Needs(arch.NeedGOT),
	elf.R_X86_64_REX_GOTPCRELX: arch.Data(4, gAP, arch.Signed(32)).Needs(arch.NeedGOT),
	rCode4GOTPCRELX:            arch.Data(4, gAP, arch.Signed(32)).Needs(arch.NeedGOT),

	elf.R_X86_64_GOTPC32:    arch.Data(4, gotAP, arch.Signed(32)).Needs(arch.NeedGOTBase),
	elf.R_X86_64_GOTPC64:    arch.Data(8, gotAP, arch.Unchecked).Needs(arch.NeedGOTBase),
	elf.R_X86_64_GOTOFF64:   arch.Data(8, sAGOT, arch.Unchecked).Needs(arch.NeedGOTBase),
	elf.R_X86_64_PLTOFF64:   arch.Data(8, sAGOT, arch.Unchecked).Needs(arch.NeedGOTBase), // 64 bits reach S, no stub
	elf.R_X86_64_GOT64:      arch.Data(8, gAGOT, arch.Unchecked).Needs(arch.NeedGOT),
	elf.R_X86_64_GOTPCREL64: arch.Data(8, gAP, arch.Unchecked).Needs(arch.NeedGOT),

	elf.R_X86_64_TPOFF32:  arch.Data(4, tpA, arch.Signed(32)).Needs(arch.NeedTP),
	elf.R_X86_64_TPOFF64:  arch.Data(8, tpA, arch.Unchecked).Needs(arch.NeedTP),
	elf.R_X86_64_DTPOFF32: arch.Data(4, dtpA, arch.Signed(32)).Needs(arch.NeedDTP),
	elf.R_X86_64_DTPOFF64: arch.Data(8, dtpA, arch.Unchecked).Needs(arch.NeedDTP),
	elf.R_X86_64_GOTTPOFF: arch.Data(4, gAP, arch.Signed(32)).Needs(arch.NeedGOTTP),
	rCode4GOTTPOFF:        arch.Data(4, gAP, arch.Signed(32)).Needs(arch.NeedGOTTP),
	elf.R_X86_64_TLSGD:    arch.Data(4, gAP, arch.Signed(32)).Needs(arch.NeedTLSGD),
	elf.R_X86_64_TLSLD:    arch.Data(4, gAP, arch.Signed(32)).Needs(arch.NeedTLSLD),

	elf.R_X86_64_GOTPC32_TLSDESC: arch.Data(4, gAP, arch.Signed(32)).Needs(arch.NeedTLSDesc),
	rCode4GOTPC32TLSDesc:         arch.Data(4, gAP, arch.Signed(32)).Needs(arch.NeedTLSDesc),
	elf.R_X86_64_TLSDESC_CALL:    arch.Marker,

	elf.R_X86_64_SIZE32: arch.Data(4, zA, arch.Unsigned(32)),
	elf.R_X86_64_SIZE64: arch.Data(8, zA, arch.Unchecked),
}

func relocName(typ uint32) string {
	switch t := elf.R_X86_64(typ); t {
	case rCode4GOTPCRELX:
		return "R_X86_64_CODE_4_GOTPCRELX"
	case rCode4GOTTPOFF:
		return "R_X86_64_CODE_4_GOTTPOFF"
	case rCode4GOTPC32TLSDesc:
		return "R_X86_64_CODE_4_GOTPC32_TLSDESC"
	default:
		return t.String()
	}
}
