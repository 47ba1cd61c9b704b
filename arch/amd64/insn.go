// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"encoding/binary"
	"fmt"

	"github.com/ulpatch/ulpatch/arch"
)

const maxInsnLen = 15

// decode knows lengths, branches and RIP-relative operands of everything, and
// the meaning of nearly nothing.
func decode(code []byte, pc arch.Addr) (arch.Insn, error) {
	d := decoder{code: code[:min(len(code), maxInsnLen)]}
	d.instruction()
	switch {
	case d.cut && len(code) < maxInsnLen:
		return arch.Insn{}, fmt.Errorf("% x: %w", d.code, arch.ErrShort)
	case d.cut || d.invalid:
		return arch.Insn{}, fmt.Errorf("% x: %w", d.code, arch.ErrInsn)
	}
	insn := arch.Insn{Len: d.pos, Kind: d.kind, Nop: d.nop}
	if d.relLen > 0 {
		insn.PCRel, insn.FieldOff, insn.FieldLen = true, d.relOff, d.relLen
		insn.Target = pc + arch.Addr(d.pos) + arch.Addr(d.rel())
		if d.address32 && d.relIsMemory {
			insn.Target &= 0xffffffff
		}
	}
	return insn, nil
}

type decoder struct {
	code []byte
	pos  int

	operand16, address32, rep, repne, lock bool
	rex                                    byte // without its high nibble

	modrm byte

	// A memory operand of a base register and a displacement of so many bytes.
	based            bool
	base             int
	modrmOff         int
	dispOff, dispLen int
	extended         bool // VEX, EVEX, REX2 or XOP, which have other bits for registers

	kind           arch.Kind
	nop            bool
	relOff, relLen int // the PC-relative field; relLen 0: none
	relIsMemory    bool

	cut, invalid bool
}

// next is 0 behind the end, and then cut is set.
func (d *decoder) next() byte {
	if d.pos >= len(d.code) {
		d.cut = true
		return 0
	}
	d.pos++
	return d.code[d.pos-1]
}

func (d *decoder) skip(n int) {
	if d.pos += n; d.pos > len(d.code) {
		d.pos, d.cut = len(d.code), true
	}
}

func (d *decoder) relative(n int) {
	d.relOff, d.relLen = d.pos, n
	d.skip(n)
}

func (d *decoder) rel() int64 {
	field := d.code[d.relOff:]
	if d.relLen == 1 {
		return int64(int8(field[0]))
	}
	return int64(int32(binary.LittleEndian.Uint32(field)))
}

func (d *decoder) wide() bool { return d.rex&8 != 0 }

// legacyPrefixed says that a prefix came that VEX, EVEX and REX2 don't bear.
func (d *decoder) legacyPrefixed() bool {
	return d.operand16 || d.rep || d.repne || d.lock || d.rex != 0
}

func (d *decoder) instruction() {
	op := d.next()
	for ; !d.cut; op = d.next() {
		switch oneByte[op] {
		case opPrefix:
			d.prefix(op)
			d.rex = 0 // a REX prefix counts only right before the opcode
			continue
		case opREX:
			d.rex = op&15 | 0x40
			continue
		}
		break
	}
	switch oneByte[op] {
	case opREX2, opVEX2, opVEX3, opPopXOP, opEVEX:
		d.extended = true
	}
	switch oneByte[op] {
	case opEscape:
		d.escape()
	case opREX2:
		d.rex2Prefixed()
	case opVEX2:
		d.next()
		d.vex(1, d.next())
	case opVEX3:
		m := d.next() & 0x1f
		d.next()
		d.vex(m, d.next())
	case opPopXOP:
		d.popOrXOP()
	case opEVEX:
		m, p1 := d.next(), d.next()
		d.next()
		d.evex(m, p1, d.next())
	default:
		d.operands(oneByte[op], op)
		d.oneByteKind(op)
	}
}

func (d *decoder) prefix(p byte) {
	switch p {
	case 0x66:
		d.operand16 = true
	case 0x67:
		d.address32 = true
	case 0xf0:
		d.lock = true
	case 0xf2:
		d.repne = true
	case 0xf3:
		d.rep = true
	}
}

func (d *decoder) escape() {
	switch op := d.next(); twoByte[op] {
	case opEscape38:
		d.next()
		d.operands(opModRM, 0)
	case opEscape3A:
		d.next()
		d.operands(opModRMIb, 0)
	default:
		d.operands(twoByte[op], op)
		d.twoByteKind(op)
	}
}

// rex2Prefixed: bit 7 of the prefix stands for 0F, bit 3 for REX.W. In the rows
// that are left out the prefix is undefined.
func (d *decoder) rex2Prefixed() {
	if d.rex != 0 {
		d.invalid = true
		return
	}
	payload, op := d.next(), d.next()
	d.rex = payload&8 | 0x40
	if payload&0x80 != 0 {
		switch kind := twoByte[op]; {
		case op>>4 == 3, op>>4 == 8, kind == opEscape38, kind == opEscape3A:
			d.invalid = true
		default:
			d.operands(kind, op)
			d.twoByteKind(op)
		}
		return
	}
	switch kind := oneByte[op]; {
	case op>>4 == 4, op>>4 == 7, op>>4 == 0xa, op>>4 == 0xe:
		d.invalid = true
	default:
		d.operands(kind, op) // refuses prefixes, escapes and pop
		d.oneByteKind(op)
		d.nop = d.nop && payload&0x11 == 0
	}
}

// popOrXOP: XOP (AMD, in libcrypto) is like VEX, with other maps.
func (d *decoder) popOrXOP() {
	if d.pos < len(d.code) && d.code[d.pos]&0x1f < 8 {
		d.memory(0)
		d.invalid = d.invalid || d.modrm>>3&7 != 0
		return
	}
	m := d.next() & 0x1f
	d.next()
	d.next()
	d.invalid = d.invalid || d.legacyPrefixed()
	switch m {
	case 8:
		d.memory(1)
	case 9:
		d.memory(0)
	case 10:
		d.memory(4)
	default:
		d.invalid = true
	}
}

func (d *decoder) vex(m, op byte) {
	d.invalid = d.invalid || d.legacyPrefixed()
	switch m {
	case 1:
		d.operands(vector(op), op)
	case 2:
		d.operands(opModRM, op)
	case 3:
		d.operands(opModRMIb, op)
	default:
		d.invalid = true
	}
}

func (d *decoder) evex(p0, p1, op byte) {
	if p0&8 != 0 || p1&4 == 0 {
		d.invalid = true
		return
	}
	switch m := p0 & 7; m {
	case 5, 6:
		d.invalid = d.invalid || d.legacyPrefixed()
		d.operands(opModRM, op)
	default:
		d.vex(m, op)
	}
}

// operands steps over what follows an opcode.
func (d *decoder) operands(kind, op byte) {
	switch kind {
	case opNone:
	case opModRM, opGroup4, opGroup5, opGroup11Eb, opGroup11Ev, opGroup3Eb, opGroup3Ev, opGroup17:
		d.memory(0)
		d.group(kind)
	case opModRMReg:
		d.modrm = d.next()
	case opModRMIb:
		d.memory(1)
	case opModRMIz:
		d.memory(d.immZ())
	case opIb:
		d.skip(1)
	case opIw:
		d.skip(2)
	case opIz:
		d.skip(d.immZ())
	case opIv:
		if d.wide() {
			d.skip(8)
		} else {
			d.skip(d.immZ())
		}
	case opIwIb:
		d.skip(3)
	case opOffset:
		if d.address32 {
			d.skip(4)
		} else {
			d.skip(8)
		}
	case opJb:
		d.branch(1)
	case opJz:
		d.branch(4)
	default:
		d.invalid = true
	}
}

// immZ is the number of bytes of an immediate that follows the operand size.
func (d *decoder) immZ() int {
	if d.operand16 && !d.wide() {
		return 2
	}
	return 4
}

// branch refuses the 66 prefix, on which CPUs differ: Intel's ignore it, AMD's
// take a 16-bit displacement and cut RIP to 16 bits.
func (d *decoder) branch(n int) {
	if d.operand16 && !d.wide() {
		d.invalid = true
	}
	d.relative(n)
}

// memory steps over ModRM, SIB and displacement, and imm bytes of immediate.
func (d *decoder) memory(imm int) {
	d.modrmOff = d.pos
	d.modrm = d.next()
	mod, rm := d.modrm>>6, d.modrm&7
	switch {
	case mod == 3:
	case mod == 0 && rm == 5:
		d.relIsMemory = true
		d.relative(4)
	default:
		base := rm
		if rm == 4 {
			base = d.next() & 7
		}
		d.based, d.base, d.dispOff = mod != 0 || base != 5, int(base|d.rex&1<<3), d.pos
		switch {
		case mod == 1:
			d.skip(1)
		case mod == 2, base == 5:
			d.skip(4)
		}
		d.dispLen = d.pos - d.dispOff
	}
	d.skip(imm)
}

// group settles what the reg field of ModRM decides.
func (d *decoder) group(kind byte) {
	reg := d.modrm >> 3 & 7
	switch kind {
	case opGroup3Eb:
		if reg < 2 {
			d.skip(1)
		}
	case opGroup3Ev:
		if reg < 2 {
			d.skip(d.immZ())
		}
	case opGroup4:
		d.invalid = d.invalid || reg > 1
	case opGroup5:
		switch reg {
		case 2, 3:
			d.kind = arch.IndirectCall
		case 4, 5:
			d.kind = arch.IndirectJump
		case 7:
			d.invalid = true
		}
	case opGroup11Eb: // F8: xabort
		d.invalid = d.invalid || reg != 0 && d.modrm != 0xf8
		d.skip(1)
	case opGroup11Ev:
		switch {
		case d.modrm == 0xf8: // xbegin
			d.kind = arch.CondJump
			d.branch(4)
		case reg == 0:
			d.skip(d.immZ())
		default:
			d.invalid = true
		}
	case opGroup17:
		switch {
		case d.operand16 || d.repne:
			d.skip(2)
		case d.rep:
			d.invalid = true
		}
	}
}

func (d *decoder) oneByteKind(op byte) {
	switch {
	case op&0xf0 == 0x70, op >= 0xe0 && op <= 0xe3:
		d.kind = arch.CondJump
	case op == 0xe8:
		d.kind = arch.Call
	case op == 0xe9, op == 0xeb:
		d.kind = arch.Jump
	case op == 0xc2, op == 0xc3, op == 0xca, op == 0xcb, op == 0xcf:
		d.kind = arch.Return
	case op == 0xcc, op == 0xf4: // int3, hlt
		d.kind = arch.Stop
	case op == 0x90: // pause with F3, xchg %r8 with REX.B
		d.nop = !d.rep && d.rex&1 == 0
	}
}

func (d *decoder) twoByteKind(op byte) {
	switch {
	case op&0xf0 == 0x80:
		d.kind = arch.CondJump
	case op == 0x0b, op == 0xb9, op == 0xff: // ud2, ud1, ud0
		d.kind = arch.Stop
	case op == 0x07, op == 0x35, op == 0xaa: // sysret, sysexit, rsm
		d.kind = arch.Return
	case op == 0x01 && d.rep && d.modrm == 0xec: // uiret
		d.kind = arch.Return
	case op == 0x1f:
		d.nop = d.modrm>>3&7 == 0
	}
}
