// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"bytes"
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

// TestDisplaced: base and displacement are those that x86asm finds, for every
// ModRM byte, with and without REX.B; the shape tells neither displacement nor its
// width.
func TestDisplaced(t *testing.T) {
	shapes := map[string]bool{}
	for _, prefix := range [][]byte{nil, {0x48}, {0x41}, {0x4d}} {
		for modrm := range 256 {
			for _, sib := range []byte{0x24, 0x0d, 0x25, 0x51} {
				code := append(bytes.Clone(prefix), 0x8b, byte(modrm))
				if modrm&7 == 4 && modrm < 0xc0 {
					code = append(code, sib)
				}
				code = append(code, 0xf0, 0xff, 0xff, 0x8f, 0xc3)
				in, err := x86asm.Decode(code, 64)
				if err != nil {
					t.Fatalf("% x: %v", code, err)
				}
				m, memory := in.Args[1].(x86asm.Mem)
				d, ok := Arch.Displaced(code)
				base, _ := general(m.Base)
				if want := memory && m.Base != 0 && m.Base != x86asm.RIP; ok != want {
					t.Errorf("% x: %v: %v", code, in, ok)
				} else if ok && (d.Base != base || d.Disp != int64(int32(m.Disp))) {
					t.Errorf("% x: %v: base %d, displacement %d", code, in, d.Base, d.Disp)
				} else if ok {
					shapes[string(d.Shape)] = true
				}
			}
		}
	}
	// 8 registers, and 7 bases or the two SIBs with one without displacement, of
	// which the other two have one all the same: 7 + 4, each with four prefixes.
	if want := 4 * 8 * 11; len(shapes) != want {
		t.Errorf("%d shapes, want %d", len(shapes), want)
	}
	for _, code := range [][]byte{
		nil,
		{0xc5, 0xf8, 0x10, 0x47, 0x10}, // vmovups 0x10(%rdi),%xmm0
		{0x62, 0xf1, 0x7c, 0x48, 0x10, 0x47, 0x01},    // vmovups 0x40(%rdi),%zmm0
		{0x67, 0x8b, 0x47, 0x10},                      // mov 0x10(%edi),%eax
		{0x66, 0x0f, 0x1f, 0x84, 0x00, 0, 0, 0, 0},    // nopw
		{0x8b, 0x05, 0x10, 0, 0, 0},                   // mov 0x10(%rip),%eax
		{0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0}, // mov %fs:0x28,%rax
		{0x8b, 0x47},                   // cut short
		{0xd5, 0x11, 0x8b, 0x47, 0x10}, // REX2
		{0x8f, 0xe8, 0x78, 0xc0, 0x47, 0x10, 0x01, 0xc3}, // XOP
	} {
		if d, ok := Arch.Displaced(code); ok {
			t.Errorf("% x: %+v", code, d)
		}
	}
}

func TestSets(t *testing.T) {
	const rax, rdx, rdi = 0, 2, 7
	for _, c := range []struct {
		name string
		code []byte
		reg  int
		want bool
	}{
		{"mov 4(%rdx),%eax", []byte{0x8b, 0x42, 4}, rax, true},
		{"mov 4(%rdx),%eax", []byte{0x8b, 0x42, 4}, rdx, false},
		{"mov %eax,4(%rdx)", []byte{0x89, 0x42, 4}, rax, false},
		{"mov %eax,4(%rdx)", []byte{0x89, 0x42, 4}, rdx, false},
		{"cmp %eax,%edx", []byte{0x39, 0xc2}, rdx, false},
		{"call", []byte{0xe8, 0, 0, 0, 0}, rdi, true},
		{"call", []byte{0xe8, 0, 0, 0, 0}, rbx, false},
		{"cpuid", []byte{0x0f, 0xa2}, rdi, true}, // not known
	} {
		if got := Arch.Sets(c.code, c.reg); got != c.want {
			t.Errorf("%s: %d: %v", c.name, c.reg, got)
		}
	}
}
