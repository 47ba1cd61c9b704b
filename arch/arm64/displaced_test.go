// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/arch/arm64/arm64asm"
)

// TestDisplaced: what is told of loads and stores is what arm64asm shows.
func TestDisplaced(t *testing.T) {
	for _, c := range []struct {
		word  uint32
		base  int
		disp  int64
		shape uint32
	}{
		{0xb9400422, 1, 4, 0xb9400022},       // ldr w2, [x1, #4]
		{0xb9000823, 1, 8, 0xb9000023},       // str w3, [x1, #8]
		{0x39400420, 1, 1, 0x39400020},       // ldrb w0, [x1, #1]
		{0x79000420, 1, 2, 0x79000020},       // strh w0, [x1, #2]
		{0xf97ffc20, 1, 32760, 0xf9400020},   // ldr x0, [x1, #32760]
		{0x3dc00420, 1, 16, 0x3dc00020},      // ldr q0, [x1, #16]
		{0xfd400420, 1, 8, 0xfd400020},       // ldr d0, [x1, #8]
		{0xb8404022, 1, 4, 0xb9400022},       // ldur w2, [x1, #4]
		{0xf85f8020, 1, -8, 0xf9400020},      // ldur x0, [x1, #-8]
		{0xa9410440, 2, 16, 0xa9400440},      // ldp x0, x1, [x2, #16]
		{0x29410440, 2, 8, 0x29400440},       // ldp w0, w1, [x2, #8]
		{0x69410440, 2, 8, 0x69400440},       // ldpsw x0, x1, [x2, #8]
		{0xa93f0440, 2, -16, 0xa9000440},     // stp x0, x1, [x2, #-16]
		{0xad010440, 2, 32, 0xad000440},      // stp q0, q1, [x2, #32]
		{0x6d010440, 2, 16, 0x6d000440},      // stp d0, d1, [x2, #16]
		{0xf94007e0, dwarfSP, 8, 0xf94003e0}, // ldr x0, [sp, #8]
	} {
		code := words(c.word)
		d, ok := Arch.Displaced(code)
		if !ok || d.Base != c.base || d.Disp != c.disp || !bytes.Equal(d.Shape, words(c.shape)) {
			t.Errorf("%#x: %+v, %v", c.word, d, ok)
		}
		in, err := arm64asm.Decode(code)
		if err != nil {
			t.Fatal(err)
		}
		base := fmt.Sprintf("x%d", c.base)
		if c.base == dwarfSP {
			base = "sp"
		}
		if text := arm64asm.GNUSyntax(in); !strings.HasSuffix(text, fmt.Sprintf("[%s,#%d]", base, c.disp)) {
			t.Errorf("%#x is %s", c.word, text)
		}
	}
	for _, word := range []uint32{
		nop,
		0xf8408420, // ldr x0, [x1], #8
		0xf8408c20, // ldr x0, [x1, #8]!
		0xa8c10440, // ldp x0, x1, [x2], #16
		0xa9c10440, // ldp x0, x1, [x2, #16]!
		0xf8626820, // ldr x0, [x1, x2]
		0xf9800420, // prfm pldl1keep, [x1, #8]
		0xf8804020, // prfum pldl1keep, [x1, #4]
		0xc85f7c20, // ldxr x0, [x1]
		0x91002020, // add x0, x1, #8
		0xf8200041, // ldadd x0, x1, [x2]
		0x58000040, // ldr x0, literal
	} {
		if d, ok := Arch.Displaced(words(word)); ok {
			t.Errorf("%#x: %+v", word, d)
		}
	}
	if _, ok := Arch.Displaced([]byte{0x22, 0x04}); ok {
		t.Error("half an instruction")
	}
}

func TestSets(t *testing.T) {
	for _, c := range []struct {
		name string
		word uint32
		sets []int // of x0 to x4, x19 and x30
	}{
		{"add x1, x2, #8", 0x91002041, []int{1}},
		{"ldr w2, [x1, #4]", 0xb9400422, []int{2}},
		{"ldr x0, [x1], #8", 0xf8408420, []int{0, 1}},
		{"ldr x0, [x1, #8]!", 0xf8408c20, []int{0, 1}},
		{"ldr x0, [x1, x2]", 0xf8626820, []int{0}},
		{"ldp x0, x1, [x2, #16]", 0xa9410440, []int{0, 1}},
		{"ldp x0, x1, [x2], #16", 0xa8c10440, []int{0, 1, 2}},
		{"mul w0, w2, w0", 0x1b007c40, []int{0}},
		{"bl", 0x94000000, []int{0, 1, 2, 3, 4, 30}},
		{"blr x3", 0xd63f0060, []int{0, 1, 2, 3, 4, 30}},
		{"svc #0", 0xd4000001, []int{0, 1, 2, 3, 4, 19, 30}},
		{"ldxr x0, [x1]", 0xc85f7c20, []int{0, 1, 2, 3, 4, 19, 30}},
	} {
		var got []int
		for _, reg := range []int{0, 1, 2, 3, 4, 19, 30} {
			if Arch.Sets(words(c.word), reg) {
				got = append(got, reg)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.sets) {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
