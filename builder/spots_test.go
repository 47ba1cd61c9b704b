// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestSpots: what is known of an address that instructions make of two parts. In
// each text the place is left+16, where right begins; "adr x0" stands for the two
// instructions that make it.
func TestSpots(t *testing.T) {
	const data = `
	.data
	.balign 16
	.type left, %object
	.size left, 16
left:	.zero 16
	.type right, %object
	.size right, 16
right:	.zero 16
	.type behind, %object
	.size behind, 16
behind:	.zero 16
	.text
	.globl f
	.type f, %function
f:
`
	const lost = "lost"
	tests := []struct{ name, code, want string }{
		{"read there", "adr x9\nldr w1, [x9]\nret", "right"},
		{"read before it", "adr x9\nldur w1, [x9, #-4]\nret", "left"},
		{"read across both", "adr x9\nldur x1, [x9, #-4]\nret", "+12"},
		{"a pair across both", "adr x9\nldp x1, x2, [x9, #-8]\nret", "left right"},
		{"vectors across both", "adr x9\nldur q1, [x9, #-8]\nret", "+8"},
		{"an anchor", "adr x9\nldr w1, [x9]\nldr w2, [x9, #16]\nstr w1, [x9, #-12]\nret", "behind left right"},
		{"the page alone is used twice", "adrp x1, left+16\nldr w2, [x1, #:lo12:left+16]\nstr w3, [x1, #:lo12:left+16]\nret", "right"},
		{"a page for two places", "adrp x1, left+16\nldr w2, [x1, #:lo12:left+16]\nadd x3, x1, #:lo12:left+32\nstr w3, [x3]\nret", lost},
		{"a page from elsewhere", "adrp x1, left+16\nldr x1, [x2]\nadd x1, x1, #:lo12:left+16\nldr w2, [x1]\nret", lost},
		{"one way to the rest has another page", "adrp x1, left+16\ncbz x0, 1f\nmov x1, x2\n1: add x1, x1, #:lo12:left+16\nldr w2, [x1]\nret", lost},
		{"an index that a mask limits", "and w1, w1, #3\nadr x9\nldr w2, [x9, w1, uxtw #2]\nret", "right"},
		{"a mask that is too wide", "and w1, w1, #7\nadr x9\nldr w2, [x9, w1, uxtw #2]\nret", "+16"},
		{"bits that are cut out", "ubfx x1, x1, #5, #2\nadr x9\nldr w2, [x9, x1, lsl #2]\nret", "right"},
		{"bits that are put elsewhere", "ubfiz x1, x1, #2, #2\nadr x9\nadd x9, x9, x1\nldr w2, [x9]\nret", "right"},
		{"an index that a comparison limits", "adr x9\ncmp w1, #3\nb.hi 1f\nldr w2, [x9, w1, uxtw #2]\n1: ret", "right"},
		{"the comparison of another width", "adr x9\ncmp w1, #3\nb.hi 1f\nldr w2, [x9, x1, lsl #2]\n1: ret", "+16"},
		{"the branch on the wrong side", "adr x9\ncmp w1, #3\nb.ls 1f\nldr w2, [x9, w1, uxtw #2]\n1: ret", "+16"},
		{"a comparison that is made perhaps", "adr x9\ncmp w1, #3\nccmp w2, #0, #0, eq\nb.hi 1f\nldr w2, [x9, w1, uxtw #2]\n1: ret", "+16"},
		{"an index with its sign", "and w1, w1, #3\nadr x9\nldr w2, [x9, w1, sxtw #2]\nret", "right"},
		{"a bit that is not set", "and w1, w1, #7\nadr x9\ntbnz w1, #2, 1f\nldr w2, [x9, w1, uxtw #2]\n1: ret", "right"},
		{"the bit is set", "and w1, w1, #7\nadr x9\ntbz w1, #2, 1f\nldr w2, [x9, w1, uxtw #2]\n1: ret", "+16"},
		{"a bit below others", "and w1, w1, #15\nadr x9\ntbnz w1, #2, 1f\nldr w2, [x9, w1, uxtw #2]\n1: ret", "+16"},
		{"an index that is nothing", "adr x9\ncbnz w1, 1f\nldr w2, [x9, w1, uxtw #2]\n1: ret", "right"},
		{"an index that is something", "adr x9\ncbz w1, 1f\nldr w2, [x9, w1, uxtw #2]\n1: ret", "+16"},
		{"an extended register is added", "and w1, w1, #3\nadr x9\nadd x9, x9, w1, uxtw #2\nldr w2, [x9]\nret", "right"},
		{"a register that is not extended is added", "mov w1, w1\nadr x9\nadd x9, x9, w1, sxtw #2\nldr w2, [x9]\nret", lost},
		{"a product is added", "mov w2, #12\nand w1, w1, #1\nadr x9\numaddl x9, w1, w2, x9\nldr w3, [x9]\nret", "right"},
		{"a product that is too large is added", "mov w2, #16\nand w1, w1, #1\nadr x9\numaddl x9, w1, w2, x9\nldr w3, [x9]\nret", "+16"},
		{"one of two", "mov w1, #0\nmov w2, #3\ntst w3, w3\ncsel w1, w1, w2, eq\nadr x9\nldr w2, [x9, w1, uxtw #2]\nret", "right"},
		{"it or something else", "adr x9\ntst w3, w3\ncsel x9, x9, x4, eq\nldr w2, [x9]\nret", lost},
		{"one way to an access has something else", "adr x9\ncbz w1, 1f\nmov x9, x2\n1: ldr w2, [x9]\nret", lost},
		{"it moves along", "adr x9\nmov w2, #4\n1: ldr w1, [x9], #4\nsubs w2, w2, #1\nb.ne 1b\nret", "right"},
		{"it moves along from its end", "adr x9\nmov w2, #4\n1: ldr w1, [x9, #-4]!\nsubs w2, w2, #1\nb.ne 1b\nret", "left"},
		{"it begins before what is read", "adr x9\nmov w1, #0\n1: cmp w1, #3\nb.ls 2f\nldr w3, [x9]\n2: add x9, x9, #4\nadd w1, w1, #1\ncmp w1, #8\nb.ne 1b\nret", "+16"},
		{"it is handed over", "adr x0\nb g", "16"},
		{"a place beside it is handed over", "adr x0\nadd x0, x0, #4\nb g", "20"},
		{"it is left in a register that a call does not look at", "stp x29, x30, [sp, #-16]!\nadr x9\nldr w1, [x9]\nbl g\nret", "right"},
		{"it is in memory", "adr x9\nstr x9, [x1]\nret", "16"},
		{"it is in the frame", "adr x9\nstr x9, [sp, #8]\nldr x10, [sp, #8]\nldr w2, [x10]\nret", "right"},
		{"it is in a frame that a call may write to", "adr x9\nstr x9, [sp, #8]\nbl g\nldr x1, [sp, #8]\nldr w2, [x1]\nret", lost},
		{"it is in a frame, and nobody looks", "adr x9\nldr w1, [x9]\nstr x9, [sp, #8]\nbl g\nret", "right"},
		{"it is in a vector", "adr x9\nfmov d0, x9\nret", lost},
		{"something is subtracted", "adr x9\nsub x9, x9, x1\nldr w2, [x9]\nret", lost},
		{"half of it is signed", "adr x9\npacia x9, x1\nldr w2, [x9]\nret", lost},
		{"what is not known is done", "adr x9\ncas x1, x2, [x9]\nret", lost},
		{"it goes to a part of a function", "adr x9\nb f.cold", lost},
		{"code to which no way leads", "adr x9\nldr w1, [x9]\nret\nldr w1, [x19]\nret", lost},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newCross(t, crossGCC, "-x", "assembler", "-Wa,-march=armv8.5-a")
			var code []string
			for _, line := range strings.Split(test.code, "\n") {
				if reg, made := strings.CutPrefix(line, "adr "); made {
					line = fmt.Sprintf("adrp %s, left+16\nadd %s, %s, #:lo12:left+16", reg, reg, reg)
				}
				code = append(code, line)
			}
			text := data + strings.Join(code, "\n") + "\n.size f, .-f\n.globl e\n.type e, %function\ne: nop\nret\n.size e, .-e\n" +
				".section .text.unlikely, \"ax\"\n.type f.cold, %function\nf.cold: ret\n.size f.cold, .-f.cold\n"
			o, err := readObject("unit.o", l.read(l.compile("unit", text)))
			if err != nil {
				t.Fatal(err)
			}
			f := o.byName["f"][0]
			if f.follow().walked == nil {
				t.Fatal("not followed")
			}
			for i := range f.refs { // the first tells the page, and so of all
				if f.refs[i].target == nil || f.refs[i].target.kind == kindCode {
					continue
				}
				if got := f.follow().spots[i].text(); got != test.want {
					t.Errorf("%s, expected %s", got, test.want)
				}
				return
			}
			t.Error("no reference")
		})
	}
}

// text tells a spot: variables, places that are passed on, and +places to which
// something is added.
func (s *spot) text() string {
	if s == nil {
		return "lost"
	}
	var all []string
	for _, a := range s.within {
		all = append(all, a.name)
	}
	slices.Sort(all)
	for _, at := range s.passed {
		all = append(all, fmt.Sprint(at))
	}
	for _, at := range s.walked {
		all = append(all, fmt.Sprintf("+%d", at))
	}
	return strings.Join(all, " ")
}
