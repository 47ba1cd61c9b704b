// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"errors"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

// TestDecodeLater holds what binutils 2.40 does not know to the Arm ARM by hand.
func TestDecodeLater(t *testing.T) {
	const pc = 0x401000
	branch := func(kind arch.Kind, to arch.Addr) arch.Insn {
		return arch.Insn{Len: 4, Kind: kind, PCRel: true, FieldLen: 4, Target: to}
	}
	for _, c := range []struct {
		name string
		word uint32
		want arch.Insn
	}{
		{"cbgt w0, w1, .+8", 0x74010040, branch(arch.CondJump, pc+8)},
		{"cbgt x0, x1, .-1024", 0xf4012000, branch(arch.CondJump, pc-1024)},
		{"cbblt w0, w1, .+1020", 0x74619fe0, branch(arch.CondJump, pc+1020)},
		{"cbeq x0, #63, .+8", 0xf5df8040, branch(arch.CondJump, pc+8)},
		{"retaasppc", 0x5500001f, arch.Insn{Len: 4, Kind: arch.Return}},
		{"retabsppc", 0x552fffff, arch.Insn{Len: 4, Kind: arch.Return}},
		{"retaasppcr x5", 0xd65f0be5, arch.Insn{Len: 4, Kind: arch.Return}},
		{"retabsppcr x5", 0xd65f0fe5, arch.Insn{Len: 4, Kind: arch.Return}},
	} {
		if got, err := decode(words(c.word), pc); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
}

func TestDecodeShort(t *testing.T) {
	for n := range wordSize {
		if got, err := decode(make([]byte, n), 0); !errors.Is(err, arch.ErrShort) || got != (arch.Insn{}) {
			t.Errorf("%d bytes: %+v, %v", n, got, err)
		}
	}
}

func TestEndsInCall(t *testing.T) {
	for _, c := range []struct {
		name string
		code []byte
		want bool
	}{
		{"bl", words(nop, 0x94000001), true},
		{"bl back", words(0x97ffffff), true},
		{"blr x3", words(0xd63f0060), true},
		{"blraaz x3", words(0xd63f087f), true},
		{"blrab x3, sp", words(0xd73f0c7f), true},
		{"b", words(b), false},
		{"br x3", words(0xd61f0060), false},
		{"ret", words(ret), false},
		{"bl, and a nop behind it", words(0x94000001, nop), false},
		{"three bytes", words(0x94000001)[:3], false},
		{"nothing", nil, false},
	} {
		if got := Arch.EndsInCall(c.code); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
