// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"debug/elf"

	"github.com/ulpatch/ulpatch/arch"
)

// X, in the letters of AAELF64, "Relocation operations". G is the address of a
// slot: the ABI's G(GDAT(S + A)), G(GTPREL(S + A)) and so on, by what the row
// needs. An addend would want a slot of its own and is refused there. TP and DTP
// are its TPREL(S) and DTPREL(S).
var (
	sA   = arch.Linear('S', "S + A", symbol)
	sAP  = arch.Linear('S', "S + A - P", symbolFromP)
	page = arch.Part('S', 12, 64, "Page(S + A) - Page(P)", symbolPage)
	// Unchecked, adrp may have lost bits.
	pageNC = arch.Part('S', 12, 33, "Page(S + A) - Page(P)", symbolPage)

	gP       = arch.Linear('G', "G - P", slotFromP)
	gGOT     = arch.Linear('G', "G - GOT", slotFromGOT)
	gPageGOT = arch.Linear('G', "G - Page(GOT)", func(o arch.Operands) int64 { return int64(o.G) - pageOf(int64(o.GOT)) })
	gPage    = arch.Part('G', 12, 64, "Page(G) - Page(P)", func(o arch.Operands) int64 { return pageOf(int64(o.G)) - pageOf(int64(o.P)) })
	gLow     = arch.Part('G', 0, 12, "G", func(o arch.Operands) int64 { return int64(o.G) })

	// Groups of a distance: the borrow from the bits below is not known, so that
	// nothing can be solved.
	sAPPart  = arch.Calc("S + A - P", symbolFromP)
	gGOTPart = arch.Calc("G - GOT", slotFromGOT)
)

func symbol(o arch.Operands) int64      { return int64(o.S) + o.A }
func symbolFromP(o arch.Operands) int64 { return symbol(o) - int64(o.P) }
func symbolPage(o arch.Operands) int64  { return pageOf(symbol(o)) - pageOf(int64(o.P)) }
func slotFromP(o arch.Operands) int64   { return int64(o.G - o.P) }
func slotFromGOT(o arch.Operands) int64 { return int64(o.G - o.GOT) }
func pageOf(x int64) int64              { return x &^ 0xfff }

// A field that holds some bits tells those above, too, where X is checked.
func sPart(lo, hi uint) arch.Expr { return arch.Part('S', lo, hi, "S + A", symbol) }
func tpPart(lo, hi uint) arch.Expr {
	return arch.Part('T', lo, hi, "TP + A", func(o arch.Operands) int64 { return o.TP + o.A })
}
func dtpPart(lo, hi uint) arch.Expr {
	return arch.Part('D', lo, hi, "DTP + A", func(o arch.Operands) int64 { return o.DTP + o.A })
}

// insn is a row whose place is an instruction.
func insn(f arch.Field, e arch.Expr, c arch.Check) arch.Howto {
	return arch.Howto{Size: wordSize, Field: f, Expr: e, Check: c}
}

// slot is a row whose place is an instruction that refers to a slot.
func slot(f arch.Field, e arch.Expr, c arch.Check, n arch.Need) arch.Howto {
	h := insn(f, e, c).Needs(n)
	h.NoAddend = true
	return h
}

// Relocs is every relocation that this port applies; any other type is refused.
var Relocs = map[elf.R_AARCH64]arch.Howto{
	elf.R_AARCH64_NONE: arch.Marker,
	elf.R_AARCH64_NULL: arch.Marker,

	elf.R_AARCH64_ABS64: arch.Data(8, sA, arch.Unchecked),
	elf.R_AARCH64_ABS32: arch.Data(4, sA, arch.Either(32)),
	elf.R_AARCH64_ABS16: arch.Data(2, sA, arch.Either(16)),
	// The ABI allows up to 2^32 and 2^16 here; all that read them extend the sign.
	elf.R_AARCH64_PREL64: arch.Data(8, sAP, arch.Unchecked),
	elf.R_AARCH64_PREL32: arch.Data(4, sAP, arch.Signed(32)),
	elf.R_AARCH64_PREL16: arch.Data(2, sAP, arch.Signed(16)),

	elf.R_AARCH64_MOVW_UABS_G0:    insn(group(0), sPart(0, 64), arch.Unsigned(16)),
	elf.R_AARCH64_MOVW_UABS_G0_NC: insn(group(0), sPart(0, 16), arch.Unchecked),
	elf.R_AARCH64_MOVW_UABS_G1:    insn(group(1), sPart(16, 64), arch.Unsigned(32)),
	elf.R_AARCH64_MOVW_UABS_G1_NC: insn(group(1), sPart(16, 32), arch.Unchecked),
	elf.R_AARCH64_MOVW_UABS_G2:    insn(group(2), sPart(32, 64), arch.Unsigned(48)),
	elf.R_AARCH64_MOVW_UABS_G2_NC: insn(group(2), sPart(32, 48), arch.Unchecked),
	elf.R_AARCH64_MOVW_UABS_G3:    insn(group(3), sPart(48, 64), arch.Unchecked),
	elf.R_AARCH64_MOVW_SABS_G0:    insn(signedGroup(0), sPart(0, 64), arch.Signed(17)),
	elf.R_AARCH64_MOVW_SABS_G1:    insn(signedGroup(1), sPart(16, 64), arch.Signed(33)),
	elf.R_AARCH64_MOVW_SABS_G2:    insn(signedGroup(2), sPart(32, 64), arch.Signed(49)),
	rMovwPRelG0:                   insn(signedGroup(0), sAPPart, arch.Signed(17)),
	rMovwPRelG0NC:                 insn(group(0), sAPPart, arch.Unchecked),
	rMovwPRelG1:                   insn(signedGroup(1), sAPPart, arch.Signed(33)),
	rMovwPRelG1NC:                 insn(group(1), sAPPart, arch.Unchecked),
	rMovwPRelG2:                   insn(signedGroup(2), sAPPart, arch.Signed(49)),
	rMovwPRelG2NC:                 insn(group(2), sAPPart, arch.Unchecked),
	rMovwPRelG3:                   insn(signedGroup(3), sAPPart, arch.Unchecked),

	elf.R_AARCH64_LD_PREL_LO19:        insn(imm19, sAP, arch.Signed(21).Align(4)),
	elf.R_AARCH64_ADR_PREL_LO21:       insn(adr, sAP, arch.Signed(21)),
	elf.R_AARCH64_ADR_PREL_PG_HI21:    insn(adrp, page, arch.Signed(33)),
	elf.R_AARCH64_ADR_PREL_PG_HI21_NC: insn(adrp, pageNC, arch.Unchecked),
	elf.R_AARCH64_ADD_ABS_LO12_NC:     insn(add, sPart(0, 12), arch.Unchecked),
	elf.R_AARCH64_LDST8_ABS_LO12_NC:   insn(ldst(0), sPart(0, 12), arch.Unchecked),
	elf.R_AARCH64_LDST16_ABS_LO12_NC:  insn(ldst(1), sPart(0, 12), arch.Unchecked.Align(2)),
	elf.R_AARCH64_LDST32_ABS_LO12_NC:  insn(ldst(2), sPart(0, 12), arch.Unchecked.Align(4)),
	elf.R_AARCH64_LDST64_ABS_LO12_NC:  insn(ldst(3), sPart(0, 12), arch.Unchecked.Align(8)),
	elf.R_AARCH64_LDST128_ABS_LO12_NC: insn(ldst(4), sPart(0, 12), arch.Unchecked.Align(16)),

	elf.R_AARCH64_TSTBR14:  insn(imm14, sAP, arch.Signed(16).Align(4)),
	elf.R_AARCH64_CONDBR19: insn(imm19, sAP, arch.Signed(21).Align(4)),
	elf.R_AARCH64_JUMP26:   insn(imm26, sAP, arch.Signed(28).Align(4)).Needs(arch.NeedStub),
	elf.R_AARCH64_CALL26:   insn(imm26, sAP, arch.Signed(28).Align(4)).Needs(arch.NeedStub),

	elf.R_AARCH64_GOT_LD_PREL19:     slot(imm19, gP, arch.Signed(21).Align(4), arch.NeedGOT),
	elf.R_AARCH64_ADR_GOT_PAGE:      slot(adrp, gPage, arch.Signed(33), arch.NeedGOT),
	elf.R_AARCH64_LD64_GOT_LO12_NC:  slot(ldst(3), gLow, arch.Unchecked.Align(8), arch.NeedGOT),
	elf.R_AARCH64_LD64_GOTPAGE_LO15: slot(ldst15, gPageGOT, arch.Unsigned(15).Align(8), arch.NeedGOT),
	elf.R_AARCH64_LD64_GOTOFF_LO15:  slot(ldst15, gGOT, arch.Unsigned(15).Align(8), arch.NeedGOT),
	rMovwGOTOffG0NC:                 slot(group(0), gGOTPart, arch.Unchecked, arch.NeedGOT),
	rMovwGOTOffG1:                   slot(signedGroup(1), gGOTPart, arch.Signed(33), arch.NeedGOT),

	elf.R_AARCH64_TLSGD_ADR_PREL21:  slot(adr, gP, arch.Signed(21), arch.NeedTLSGD),
	elf.R_AARCH64_TLSGD_ADR_PAGE21:  slot(adrp, gPage, arch.Signed(33), arch.NeedTLSGD),
	elf.R_AARCH64_TLSGD_ADD_LO12_NC: slot(add, gLow, arch.Unchecked, arch.NeedTLSGD),
	elf.R_AARCH64_TLSGD_MOVW_G1:     slot(signedGroup(1), gGOTPart, arch.Signed(33), arch.NeedTLSGD),
	elf.R_AARCH64_TLSGD_MOVW_G0_NC:  slot(group(0), gGOTPart, arch.Unchecked, arch.NeedTLSGD),

	elf.R_AARCH64_TLSLD_ADR_PREL21: slot(adr, gP, arch.Signed(21), arch.NeedTLSLD),
	elf.R_AARCH64_TLSLD_ADR_PAGE21: slot(adrp, gPage, arch.Signed(33), arch.NeedTLSLD),
	rTLSLDAddLo12NC:                slot(add, gLow, arch.Unchecked, arch.NeedTLSLD),

	rTLSLDMovwDTPRelG2:                         insn(signedGroup(2), dtpPart(32, 64), arch.Signed(49)).Needs(arch.NeedDTP),
	rTLSLDMovwDTPRelG1:                         insn(signedGroup(1), dtpPart(16, 64), arch.Signed(33)).Needs(arch.NeedDTP),
	rTLSLDMovwDTPRelG1NC:                       insn(group(1), dtpPart(16, 32), arch.Unchecked).Needs(arch.NeedDTP),
	rTLSLDMovwDTPRelG0:                         insn(signedGroup(0), dtpPart(0, 64), arch.Signed(17)).Needs(arch.NeedDTP),
	rTLSLDMovwDTPRelG0NC:                       insn(group(0), dtpPart(0, 16), arch.Unchecked).Needs(arch.NeedDTP),
	rTLSLDAddDTPRelHi12:                        insn(addHigh, dtpPart(12, 64), arch.Unsigned(24)).Needs(arch.NeedDTP),
	rTLSLDAddDTPRelLo12:                        insn(add, dtpPart(0, 64), arch.Unsigned(12)).Needs(arch.NeedDTP),
	rTLSLDAddDTPRelLo12NC:                      insn(add, dtpPart(0, 12), arch.Unchecked).Needs(arch.NeedDTP),
	rTLSLDLdst8DTPRelLo12:                      insn(ldst(0), dtpPart(0, 64), arch.Unsigned(12)).Needs(arch.NeedDTP),
	rTLSLDLdst8DTPRelLo12NC:                    insn(ldst(0), dtpPart(0, 12), arch.Unchecked).Needs(arch.NeedDTP),
	rTLSLDLdst16DTPRelLo12:                     insn(ldst(1), dtpPart(0, 64), arch.Unsigned(12).Align(2)).Needs(arch.NeedDTP),
	rTLSLDLdst16DTPRelLo12NC:                   insn(ldst(1), dtpPart(0, 12), arch.Unchecked.Align(2)).Needs(arch.NeedDTP),
	rTLSLDLdst32DTPRelLo12:                     insn(ldst(2), dtpPart(0, 64), arch.Unsigned(12).Align(4)).Needs(arch.NeedDTP),
	rTLSLDLdst32DTPRelLo12NC:                   insn(ldst(2), dtpPart(0, 12), arch.Unchecked.Align(4)).Needs(arch.NeedDTP),
	rTLSLDLdst64DTPRelLo12:                     insn(ldst(3), dtpPart(0, 64), arch.Unsigned(12).Align(8)).Needs(arch.NeedDTP),
	rTLSLDLdst64DTPRelLo12NC:                   insn(ldst(3), dtpPart(0, 12), arch.Unchecked.Align(8)).Needs(arch.NeedDTP),
	elf.R_AARCH64_TLSLD_LDST128_DTPREL_LO12:    insn(ldst(4), dtpPart(0, 64), arch.Unsigned(12).Align(16)).Needs(arch.NeedDTP),
	elf.R_AARCH64_TLSLD_LDST128_DTPREL_LO12_NC: insn(ldst(4), dtpPart(0, 12), arch.Unchecked.Align(16)).Needs(arch.NeedDTP),

	elf.R_AARCH64_TLSLE_MOVW_TPREL_G2:         insn(signedGroup(2), tpPart(32, 64), arch.Signed(49)).Needs(arch.NeedTP),
	elf.R_AARCH64_TLSLE_MOVW_TPREL_G1:         insn(signedGroup(1), tpPart(16, 64), arch.Signed(33)).Needs(arch.NeedTP),
	elf.R_AARCH64_TLSLE_MOVW_TPREL_G1_NC:      insn(group(1), tpPart(16, 32), arch.Unchecked).Needs(arch.NeedTP),
	elf.R_AARCH64_TLSLE_MOVW_TPREL_G0:         insn(signedGroup(0), tpPart(0, 64), arch.Signed(17)).Needs(arch.NeedTP),
	elf.R_AARCH64_TLSLE_MOVW_TPREL_G0_NC:      insn(group(0), tpPart(0, 16), arch.Unchecked).Needs(arch.NeedTP),
	elf.R_AARCH64_TLSLE_ADD_TPREL_HI12:        insn(addHigh, tpPart(12, 64), arch.Unsigned(24)).Needs(arch.NeedTP),
	elf.R_AARCH64_TLSLE_ADD_TPREL_LO12:        insn(add, tpPart(0, 64), arch.Unsigned(12)).Needs(arch.NeedTP),
	elf.R_AARCH64_TLSLE_ADD_TPREL_LO12_NC:     insn(add, tpPart(0, 12), arch.Unchecked).Needs(arch.NeedTP),
	rTLSLELdst8TPRelLo12:                      insn(ldst(0), tpPart(0, 64), arch.Unsigned(12)).Needs(arch.NeedTP),
	rTLSLELdst8TPRelLo12NC:                    insn(ldst(0), tpPart(0, 12), arch.Unchecked).Needs(arch.NeedTP),
	rTLSLELdst16TPRelLo12:                     insn(ldst(1), tpPart(0, 64), arch.Unsigned(12).Align(2)).Needs(arch.NeedTP),
	rTLSLELdst16TPRelLo12NC:                   insn(ldst(1), tpPart(0, 12), arch.Unchecked.Align(2)).Needs(arch.NeedTP),
	rTLSLELdst32TPRelLo12:                     insn(ldst(2), tpPart(0, 64), arch.Unsigned(12).Align(4)).Needs(arch.NeedTP),
	rTLSLELdst32TPRelLo12NC:                   insn(ldst(2), tpPart(0, 12), arch.Unchecked.Align(4)).Needs(arch.NeedTP),
	rTLSLELdst64TPRelLo12:                     insn(ldst(3), tpPart(0, 64), arch.Unsigned(12).Align(8)).Needs(arch.NeedTP),
	rTLSLELdst64TPRelLo12NC:                   insn(ldst(3), tpPart(0, 12), arch.Unchecked.Align(8)).Needs(arch.NeedTP),
	elf.R_AARCH64_TLSLE_LDST128_TPREL_LO12:    insn(ldst(4), tpPart(0, 64), arch.Unsigned(12).Align(16)).Needs(arch.NeedTP),
	elf.R_AARCH64_TLSLE_LDST128_TPREL_LO12_NC: insn(ldst(4), tpPart(0, 12), arch.Unchecked.Align(16)).Needs(arch.NeedTP),

	elf.R_AARCH64_TLSIE_MOVW_GOTTPREL_G1:      slot(signedGroup(1), gGOTPart, arch.Signed(33), arch.NeedGOTTP),
	elf.R_AARCH64_TLSIE_MOVW_GOTTPREL_G0_NC:   slot(group(0), gGOTPart, arch.Unchecked, arch.NeedGOTTP),
	elf.R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21:   slot(adrp, gPage, arch.Signed(33), arch.NeedGOTTP),
	elf.R_AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC: slot(ldst(3), gLow, arch.Unchecked.Align(8), arch.NeedGOTTP),
	elf.R_AARCH64_TLSIE_LD_GOTTPREL_PREL19:    slot(imm19, gP, arch.Signed(21).Align(4), arch.NeedGOTTP),

	elf.R_AARCH64_TLSDESC_LD_PREL19:    slot(imm19, gP, arch.Signed(21).Align(4), arch.NeedTLSDesc),
	elf.R_AARCH64_TLSDESC_ADR_PREL21:   slot(adr, gP, arch.Signed(21), arch.NeedTLSDesc),
	elf.R_AARCH64_TLSDESC_ADR_PAGE21:   slot(adrp, gPage, arch.Signed(33), arch.NeedTLSDesc),
	elf.R_AARCH64_TLSDESC_LD64_LO12_NC: slot(ldst(3), gLow, arch.Unchecked.Align(8), arch.NeedTLSDesc),
	elf.R_AARCH64_TLSDESC_ADD_LO12_NC:  slot(add, gLow, arch.Unchecked, arch.NeedTLSDesc),
	elf.R_AARCH64_TLSDESC_OFF_G1:       slot(signedGroup(1), gGOTPart, arch.Signed(33), arch.NeedTLSDesc),
	elf.R_AARCH64_TLSDESC_OFF_G0_NC:    slot(group(0), gGOTPart, arch.Unchecked, arch.NeedTLSDesc),
	elf.R_AARCH64_TLSDESC_LDR:          arch.Marker,
	elf.R_AARCH64_TLSDESC_ADD:          arch.Marker,
	elf.R_AARCH64_TLSDESC_CALL:         arch.Marker,
}
