// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"errors"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

// TestDecodeAPX holds the REX2 prefix, which binutils 2.40 does not know, to the
// APX specification by hand.
func TestDecodeAPX(t *testing.T) {
	const pc = 0x401000
	for _, c := range []struct {
		name string
		code []byte
		want arch.Insn
	}{
		{"mov 0x10(%rip),%r20", []byte{0xd5, 0x48, 0x8b, 0x25, 0x10, 0, 0, 0}, arch.Insn{Len: 8, PCRel: true, FieldOff: 4, FieldLen: 4, Target: pc + 8 + 0x10}},
		{"cmpl $1,(%rip)", []byte{0xd5, 0x00, 0x83, 0x3d, 0, 0, 0, 0, 1}, arch.Insn{Len: 9, PCRel: true, FieldOff: 4, FieldLen: 4, Target: pc + 9}},
		{"push %r23", []byte{0xd5, 0x10, 0x57}, arch.Insn{Len: 3}},
		{"imul %r17,%r16", []byte{0xd5, 0xd8, 0xaf, 0xc1}, arch.Insn{Len: 4}},
		{"movabs $imm64,%r16", []byte{0xd5, 0x18, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, arch.Insn{Len: 11}},
		{"mov $imm32,%r16d", []byte{0xd5, 0x10, 0xb8, 1, 2, 3, 4}, arch.Insn{Len: 7}},
		{"mov $imm16,%r16w", []byte{0x66, 0xd5, 0x10, 0xb8, 1, 2}, arch.Insn{Len: 6}},
		{"jmp *%r16", []byte{0xd5, 0x10, 0xff, 0xe0}, arch.Insn{Len: 4, Kind: arch.IndirectJump}},
		{"nop", []byte{0xd5, 0x00, 0x90}, arch.Insn{Len: 3, Nop: true}},
		{"xchg %r16,%rax", []byte{0xd5, 0x10, 0x90}, arch.Insn{Len: 3}},
	} {
		if got, err := decode(append(c.code, 0xcc), pc); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
	for _, code := range [][]byte{
		{0xd5, 0x00, 0x40}, {0xd5, 0x00, 0x70, 0}, {0xd5, 0x00, 0xa1, 0, 0, 0, 0, 0, 0, 0, 0}, {0xd5, 0x00, 0xe8, 0, 0, 0, 0}, // rows 4, 7, A, E
		{0xd5, 0x80, 0x30}, {0xd5, 0x80, 0x38, 0, 0}, {0xd5, 0x80, 0x3a, 0, 0, 0}, {0xd5, 0x80, 0x80, 0, 0, 0, 0}, // rows 3 and 8 behind 0F
		{0xd5, 0x00, 0x0f, 0xaf, 0xc1}, {0xd5, 0x00, 0x66, 0x90}, {0xd5, 0x00, 0xc5, 0xf8, 0x77}, {0xd5, 0x00, 0x62, 0, 0, 0, 0}, // another prefix
		{0x48, 0xd5, 0x00, 0x90}, // behind REX
	} {
		code = append(code, make([]byte, maxInsnLen)...)
		if got, err := decode(code, pc); !errors.Is(err, arch.ErrInsn) {
			t.Errorf("% x: %+v, %v", code[:5], got, err)
		}
	}
}

func TestDecodeRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		code []byte
		want error
	}{
		{"nothing", nil, arch.ErrShort},
		{"a prefix alone", []byte{0x66}, arch.ErrShort},
		{"half a call", []byte{0xe8, 0, 0}, arch.ErrShort},
		{"an immediate cut off", []byte{0x81, 0x3d, 0, 0, 0, 0, 1, 2, 3}, arch.ErrShort},
		{"half an EVEX prefix", []byte{0x62, 0xf1}, arch.ErrShort},
		{"16 bytes", []byte{0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90}, arch.ErrInsn},
		{"15 prefixes and a byte too few", []byte{0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0xe8, 0}, arch.ErrInsn},
		{"push %es", []byte{0x06}, arch.ErrInsn},
		{"VEX map 0", []byte{0xc4, 0xe0, 0x78, 0x10, 0xc0}, arch.ErrInsn},
		{"EVEX map 4", []byte{0x62, 0xf4, 0x7c, 0x08, 0x01, 0xc0}, arch.ErrInsn},
		{"EVEX without its fixed bit", []byte{0x62, 0xf1, 0x78, 0x48, 0x10, 0xc0}, arch.ErrInsn},
		{"REX before VEX", []byte{0x48, 0xc5, 0xf8, 0x77}, arch.ErrInsn},
		{"66 before call", []byte{0x66, 0xe8, 0, 0, 0, 0}, arch.ErrInsn},
		{"66 before jmp", []byte{0x66, 0xeb, 0}, arch.ErrInsn},
	} {
		if got, err := decode(c.code, 0); !errors.Is(err, c.want) || got != (arch.Insn{}) {
			t.Errorf("%s: %+v, %v, want %v", c.name, got, err, c.want)
		}
	}
	if got, err := decode([]byte{0x66, 0x48, 0xe8, 0xff, 0xff, 0xff, 0xff}, 0x1000); err != nil || got.Target != 0x1006 {
		t.Errorf("66 REX.W call: %+v, %v", got, err)
	}
}

func TestDecodeDetails(t *testing.T) {
	for _, c := range []struct {
		name string
		code []byte
		want arch.Insn
	}{
		{"lea -0x10(%eip),%eax", []byte{0x67, 0x8d, 0x05, 0xf0, 0xff, 0xff, 0xff}, arch.Insn{Len: 7, PCRel: true, FieldOff: 3, FieldLen: 4, Target: 0xfffffff7}},
		{"jmp -0x10 with 67", []byte{0x67, 0xeb, 0xf0}, arch.Insn{Len: 3, Kind: arch.Jump, PCRel: true, FieldOff: 2, FieldLen: 1, Target: ^arch.Addr(0xc)}},
		{"nop %edi, reserved", []byte{0x0f, 0x1f, 0xf7}, arch.Insn{Len: 3}},
		{"nopl (%rax)", []byte{0x0f, 0x1f, 0x00}, arch.Insn{Len: 3, Nop: true}},
		{"endbr64", landingPad, arch.Insn{Len: 4}},
		{"rsm", []byte{0x0f, 0xaa}, arch.Insn{Len: 2, Kind: arch.Return}},
		{"pause", []byte{0xf3, 0x90}, arch.Insn{Len: 2}},
		{"int3", []byte{0xcc}, arch.Insn{Len: 1, Kind: arch.Stop}},
	} {
		if got, err := decode(c.code, 0); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
}
