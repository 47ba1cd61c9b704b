// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"bytes"
	"debug/elf"

	"github.com/ulpatch/ulpatch/arch"
)

// What the field of a rewritten instruction holds. Where a PC-relative operand
// became an absolute one, its addend no longer counts from the end of the field:
// the -4 of the object is made up for with a delta of 4.
var (
	toPC32    = arch.Data(4, sAP, arch.Signed(32))
	to32      = arch.Data(4, sA, arch.Unsigned(32))
	to32S     = arch.Data(4, sA, arch.Signed(32))
	toTPOFF32 = arch.Data(4, tpA, arch.Signed(32)).Needs(arch.NeedTP)
	toGOTTP   = arch.Data(4, gAP, arch.Signed(32)).Needs(arch.NeedGOTTP)
)

const fieldSize = 4

// relax knows the rewrites of bfd (ld), which are those of lld and gold, and most
// of mold's.
func relax(typ uint32, orig, linked []byte, off int) (arch.Rewrite, bool) {
	switch t := elf.R_X86_64(typ); t {
	case elf.R_X86_64_GOTPCREL, elf.R_X86_64_GOTPCRELX, elf.R_X86_64_REX_GOTPCRELX:
		return relaxGOT(t, orig, linked, off)
	case elf.R_X86_64_GOTTPOFF:
		return relaxGOTTP(orig, linked, off)
	case elf.R_X86_64_GOTPC32_TLSDESC:
		return relaxTLSDesc(orig, linked, off)
	case elf.R_X86_64_TLSGD, elf.R_X86_64_TLSLD, elf.R_X86_64_TLSDESC_CALL:
		for _, s := range sequences {
			if s.typ != t {
				continue
			}
			if r, ok := s.match(orig, linked, off); ok {
				return r, true
			}
		}
	}
	return arch.Rewrite{}, false
}

// operand is an instruction with a RIP-relative operand, taken apart.
type operand struct {
	rex         byte // 0 where there is none
	opcode, reg byte
}

// ripOperand reads the instruction whose RIP-relative field is at code[off:].
// withREX says that a REX prefix comes before the opcode: nothing else tells.
func ripOperand(code []byte, off int, withREX bool) (operand, bool) {
	n := 2
	if withREX {
		n = 3
	}
	if off < n || off > len(code)-fieldSize {
		return operand{}, false
	}
	var o operand
	if withREX {
		if o.rex = code[off-3]; o.rex>>4 != 4 {
			return operand{}, false
		}
	}
	o.opcode = code[off-2]
	modrm := code[off-1]
	o.reg = modrm >> 3 & 7
	return o, modrm&0xc7 == 0x05
}

func (o operand) wide() bool { return o.rex&8 != 0 }

// encode is the instruction with another opcode and ModRM byte, and room for a
// field. Where the register moved from the reg field to rm, its high bit moves
// from REX.R to REX.B.
func (o operand) encode(opcode, modrm byte, moved bool) []byte {
	var code []byte
	if rex := o.rex; rex != 0 {
		if moved {
			rex = rex&^5 | rex>>2&1
		}
		code = append(code, rex)
	}
	return append(code, opcode, modrm, 0, 0, 0, 0)
}

// candidate is what the bytes that end with the field of a relocation may have
// become. at is where the new field lies in code.
type candidate struct {
	name  string
	code  []byte
	at    int
	howto arch.Howto
	delta int64
}

// choose returns the candidate that the image has, field aside, where the last
// byte of the code is the last of the original field at off.
func choose(candidates []candidate, linked []byte, off int) (arch.Rewrite, bool) {
	for _, c := range candidates {
		end := fieldSize
		start := end - len(c.code)
		if off+start < 0 || off+end > len(linked) {
			continue
		}
		got := bytes.Clone(linked[off+start : off+end])
		clear(got[c.at : c.at+fieldSize])
		if bytes.Equal(got, c.code) {
			return arch.Rewrite{
				Name: c.name, Start: start, End: end, Bytes: c.code,
				Howto: c.howto, Off: start + c.at, AddendDelta: c.delta,
			}, true
		}
	}
	return arch.Rewrite{}, false
}

// relaxGOT is for what was loaded from a GOT slot and need not be. Plain
// GOTPCREL, of old assemblers, may be behind any instruction, so that only the
// rewrite of mov, which all linkers take for safe, is known.
func relaxGOT(typ elf.R_X86_64, orig, linked []byte, off int) (arch.Rewrite, bool) {
	o, ok := ripOperand(orig, off, typ == elf.R_X86_64_REX_GOTPCRELX)
	if !ok {
		return arch.Rewrite{}, false
	}
	atEnd := func(code []byte) int { return len(code) - fieldSize }
	absolute := to32
	if o.wide() {
		absolute = to32S
	}
	var all []candidate
	switch {
	case o.opcode == 0x8b: // mov
		lea := o.encode(0x8d, 0x05|o.reg<<3, false)
		all = append(all, candidate{"mov x@GOTPCREL(%rip),r -> lea x(%rip),r", lea, atEnd(lea), toPC32, 0})
		if typ == elf.R_X86_64_GOTPCREL {
			break
		}
		mov := o.encode(0xc7, 0xc0|o.reg, true)
		all = append(all, candidate{"mov x@GOTPCREL(%rip),r -> mov $x,r", mov, atEnd(mov), absolute, 4})
	case typ == elf.R_X86_64_GOTPCREL:
	case o.opcode == 0x85: // test
		test := o.encode(0xf7, 0xc0|o.reg, true)
		all = append(all, candidate{"test r,x@GOTPCREL(%rip) -> test $x,r", test, atEnd(test), absolute, 4})
	case o.opcode&0xc7 == 0x03: // add, or, adc, sbb, and, sub, xor, cmp
		binop := o.encode(0x81, 0xc0|o.opcode&0x38|o.reg, true)
		all = append(all, candidate{"op x@GOTPCREL(%rip),r -> op $x,r", binop, atEnd(binop), absolute, 4})
	case o.opcode == 0xff && o.reg == 2:
		all = append(all,
			candidate{"call *x@GOTPCREL(%rip) -> addr32 call x", []byte{0x67, 0xe8, 0, 0, 0, 0}, 2, toPC32, 0},
			candidate{"call *x@GOTPCREL(%rip) -> nop; call x", []byte{0x90, 0xe8, 0, 0, 0, 0}, 2, toPC32, 0}, // mold, -z call-nop
			candidate{"call *x@GOTPCREL(%rip) -> call x; nop", []byte{0xe8, 0, 0, 0, 0, 0x90}, 1, toPC32, 0}, // -z call-nop
		)
	case o.opcode == 0xff && o.reg == 4:
		all = append(all, candidate{"jmp *x@GOTPCREL(%rip) -> jmp x; nop", []byte{0xe9, 0, 0, 0, 0, 0x90}, 1, toPC32, 0})
	}
	return choose(all, linked, off)
}

// relaxGOTTP is for initial-exec access (IE) that became local-exec (LE).
func relaxGOTTP(orig, linked []byte, off int) (arch.Rewrite, bool) {
	o, ok := ripOperand(orig, off, true)
	if !ok || !o.wide() {
		return arch.Rewrite{}, false
	}
	var all []candidate
	switch o.opcode {
	case 0x8b:
		mov := o.encode(0xc7, 0xc0|o.reg, true)
		all = append(all, candidate{"IE -> LE: mov x@GOTTPOFF(%rip),r -> mov $x@TPOFF,r", mov, 3, toTPOFF32, 4})
	case 0x03:
		lea := o.encode(0x8d, 0x80|o.reg<<3|o.reg, false)
		lea[0] |= o.rex >> 2 & 1 // both the register and the base
		add := o.encode(0x81, 0xc0|o.reg, true)
		all = append(all, candidate{"IE -> LE: add x@GOTTPOFF(%rip),r -> add $x@TPOFF,r", add, 3, toTPOFF32, 4})
		if o.reg != 4 { // %rsp and %r12 can't be a base without SIB
			all = append(all, candidate{"IE -> LE: add x@GOTTPOFF(%rip),r -> lea x@TPOFF(r),r", lea, 3, toTPOFF32, 4})
		}
	}
	return choose(all, linked, off)
}

// relaxTLSDesc is for a descriptor that became initial-exec or local-exec. The
// call through it has a relocation of its own, TLSDESC_CALL. No variable lies at
// the thread pointer itself: 0 is _TLS_MODULE_BASE_, of a local-dynamic access.
func relaxTLSDesc(orig, linked []byte, off int) (arch.Rewrite, bool) {
	o, ok := ripOperand(orig, off, true)
	if !ok || !o.wide() || o.opcode != 0x8d {
		return arch.Rewrite{}, false
	}
	le := candidate{"TLSDESC -> LE: lea x@TLSDESC(%rip),r -> mov $x@TPOFF,r", o.encode(0xc7, 0xc0|o.reg, true), 3, toTPOFF32, 4}
	ie := candidate{"TLSDESC -> IE: lea x@TLSDESC(%rip),r -> mov x@GOTTPOFF(%rip),r", o.encode(0x8b, 0x05|o.reg<<3, false), 3, toGOTTP, 0}
	r, ok := choose([]candidate{le, ie}, linked, off)
	r.LocalExec = ok && r.Name == le.name && toTPOFF32.Field.Get(linked[off:off+fieldSize]) == 0
	return r, ok
}
