// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"strings"
	"testing"
)

// TestMovesStack: what switches stacks is told from what makes and leaves frames.
func TestMovesStack(t *testing.T) {
	kept := []string{
		"stp x29, x30, [sp, #-160]!", "ldp x29, x30, [sp], #160", "stp x19, x20, [sp, #16]", "ldr x30, [sp], #16", "str x30, [sp, #-16]!",
		"sub sp, sp, #16", "sub sp, sp, #1, lsl #12", "add sp, sp, #16", "mov x1, x2",
		"mov x29, sp", "mov x9, sp", "add x29, sp, #16", "mov x0, xzr", "add xzr, x1, x2", "cmp x1, #5", "cmp sp, x1",
		"cmn sp, #8", "tst x1, #1", "adds xzr, x1, #8", "str xzr, [sp]", "stp xzr, xzr, [sp, #16]", "ldr xzr, [x0]", "b .", "bl .", "blr x1",
		"ret", "nop", "bti c", "paciasp", "autiasp", "cbz x0, .", "movz xzr, #1", "madd xzr, x1, x2, x3", "ld1 {v0.16b}, [x0], #16",
		"ld1 {v0.16b}, [sp], #16", "st1 {v0.d}[1], [sp], #8", "eor x1, x2, #1", "mrs x0, tpidr_el0", "fmov x0, d31", "ldadd x1, xzr, [sp]",
	}
	moved := []string{
		"mov sp, x1", "mov sp, x29", "add sp, x29, #16", "sub sp, x29, #16", "add sp, sp, x1", "sub sp, sp, x1", "sub sp, x2, w1, uxtw",
		"add wsp, w1, #0", "mov wsp, w1", "and sp, x1, #0xfffffffffffffff0", "orr sp, x1, #8", "orr sp, xzr, #8", "eor sp, x1, #8", "svc #0",
		"ld1 {v0.16b}, [sp], x1", "st1 {v0.16b-v3.16b}, [sp], x2", "ld1 {v0.d}[1], [sp], x3", "addvl sp, sp, #1", "addpl sp, x1, #2",
		"irg sp, x1", "addg sp, x1, #16, #1", "subg sp, sp, #16, #1",
	}
	for _, c := range []struct {
		insns []string
		want  bool
	}{{kept, false}, {moved, true}} {
		f := openELF(t, assemble(t, "insns", ".arch armv8.5-a+sve+memtag+pauth\n.text\n"+strings.Join(c.insns, "\n")+"\n"))
		code := sectionData(t, f, ".text")
		if len(code) != wordSize*len(c.insns) {
			t.Fatalf("%d bytes of %d instructions", len(code), len(c.insns))
		}
		for i, text := range c.insns {
			if word := code[wordSize*i:][:wordSize]; Arch.MovesStack(word) != c.want {
				t.Errorf("%s: % x: %v", text, word, !c.want)
			}
		}
	}
	if !Arch.MovesStack([]byte{0xc0, 0x03}) {
		t.Error("half an instruction keeps the stack pointer")
	}
}
