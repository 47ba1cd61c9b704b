// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import "testing"

// TestMeanings: what the code does with the address of a place between two
// variables tells which of them it means, where that is sure, and nothing where
// it is not. Each text refers to left+16, where right begins.
func TestMeanings(t *testing.T) {
	const data = `
	.data
	.balign 16
	.type left, @object
	.size left, 16
left:	.zero 16
	.type right, @object
	.size right, 16
right:	.zero 16
	.type behind, @object
	.size behind, 16
behind:	.zero 16
	.text
	.globl f
	.type f, @function
f:
`
	tests := []struct{ name, code, want string }{
		{"read there", "lea left+16(%rip), %rax\nmov (%rax), %ecx\nret", "right"},
		{"read before it", "lea left+16(%rip), %rax\nmov -4(%rax), %ecx\nret", "left"},
		{"read across both", "lea left+16(%rip), %rax\nmov -4(%rax), %rcx\nret", ""},
		{"an index that is limited by a mask", "and $3, %edi\nlea left+16(%rip), %rax\nmov (%rax,%rdi,4), %ecx\nret", "right"},
		{"a mask that is too wide", "and $7, %edi\nlea left+16(%rip), %rax\nmov (%rax,%rdi,4), %ecx\nret", ""},
		{"an index that is limited by a branch", "mov %edi, %edi\nlea left+16(%rip), %rax\ncmp $3, %edi\nja 1f\nmov (%rax,%rdi,4), %ecx\n1: ret", "right"},
		{"the branch on the wrong side", "mov %edi, %edi\nlea left+16(%rip), %rax\ncmp $3, %edi\njbe 1f\nmov (%rax,%rdi,4), %ecx\n1: ret", ""},
		{"an index of which nothing is known", "lea left+16(%rip), %rax\nmov (%rax,%rdi,4), %ecx\nret", ""},
		{"an upper half of which nothing is known", "lea left+16(%rip), %rax\ncmp $3, %edi\nja 1f\nmov (%rax,%rdi,4), %ecx\n1: ret", ""},
		{"it is only passed on", "lea left+16(%rip), %rdi\njmp g", ""},
		{"it is only looked ahead", "lea left+16(%rip), %rax\nprefetcht0 (%rax)\nnopw (%rax)\nlea (%rax), %rdx\nret", ""},
		{"it ends a loop", "lea left(%rip), %rax\nlea left+16(%rip), %rdx\n1: add (%rax), %ecx\nadd $4, %rax\ncmp %rdx, %rax\njne 1b\nret", "left"},
		{"it is compared with what does not move", "lea left(%rip), %rax\nmov (%rax), %ecx\nlea left+16(%rip), %rdx\ncmp %rdx, %rax\njne 1f\nnop\n1: ret", ""},
		{"a loop over something else", "lea left+32(%rip), %rax\nlea left+16(%rip), %rdx\n1: add (%rax), %ecx\nadd $4, %rax\ncmp %rdx, %rax\njne 1b\nret", ""},
		{"a loop from its end", "lea left+16(%rip), %rax\nlea -16(%rax), %rdx\n1: sub $4, %rax\nadd (%rax), %ecx\ncmp %rdx, %rax\njne 1b\nret", "left"},
		{"a loop that reads on both sides", "lea left+16(%rip), %rax\n1: add (%rax), %ecx\nsub $4, %rax\ndec %edx\njne 1b\nret", ""},
		{"one way to an access has another address", "lea left+16(%rip), %rax\ntest %edi, %edi\nje 1f\nlea left(%rip), %rax\n1: mov (%rax), %ecx\nret", ""},
		{"on the stack", "lea left+16(%rip), %rax\nmov %rax, -8(%rbp)\nmov -8(%rbp), %rdx\nmov (%rdx), %ecx\nret", "right"},
		{"a stack that was written to meanwhile", "lea left+16(%rip), %rax\nmov %rax, -8(%rbp)\nmov %rdi, (%rsi)\nmov -8(%rbp), %rdx\nmov (%rdx), %ecx\nret", ""},
		{"half of its place on the stack was written to", "lea left+16(%rip), %rax\nmov %rax, -8(%rbp)\nmovl $1, -4(%rbp)\nmov -8(%rbp), %rdx\nmov (%rdx), %ecx\nret", ""},
		{"a register that a call keeps", "lea left+16(%rip), %rbx\ncall g\nmov (%rbx), %ecx\nret", "right"},
		{"a register that a call does not keep", "lea left+16(%rip), %rax\ncall g\nmov (%rax), %ecx\nret", ""},
		{"a loop that is not at it in each round", "lea left+16(%rip), %rdx\nxor %eax, %eax\n1: cmp $3, %eax\njbe 2f\nadd (%rdx), %ecx\n2: add $4, %rdx\ninc %eax\ncmp $8, %eax\njne 1b\nret", ""},
		{"an index that is not there in each round", "lea left+16(%rip), %rdx\nxor %eax, %eax\n1: lea (%rdx,%rax,4), %rsi\ncmp $3, %eax\njbe 2f\nadd (%rsi), %ecx\n2: inc %eax\ncmp $8, %eax\njne 1b\nret", ""},
		{"a branch on what a comparison of numbers with fractions told", "mov %edi, %edi\nlea left+16(%rip), %rax\ncmp $3, %edi\nje 1f\nucomisd %xmm0, %xmm1\nja 1f\nmov (%rax,%rdi,4), %ecx\n1: ret", ""},
		{"both are read", "lea left+16(%rip), %rax\nmov (%rax), %ecx\nmov -4(%rax), %edx\nret", ""},
		{"an absolute address with an index", "and $1, %edi\njmp *left+16(,%rdi,8)", "right"},
		{"an absolute address as a number", "mov $left+16, %eax\nmov (%rax), %ecx\nret", "right"},
		{"behind what cannot be followed", "lea left+16(%rip), %rax\npop %rax\nmov (%rax), %ecx\nret", ""},
		{"in a block that a table leads to", "lea left+16(%rip), %rax\njmp 1f\n.section .rodata,\"a\"\n.quad 1f\n.text\n1: mov (%rax), %ecx\nret", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.cflags = []string{"-x", "assembler", "-Wa,-mrelax-relocations=no"}
			data := l.read(l.compile("unit", data+test.code+"\n.size f, .-f\n.globl e\n.type e, @function\ne: ret\n.size e, .-e\n"))
			o, err := readObject("unit.o", data)
			if err != nil {
				t.Fatal(err)
			}
			f := o.byName["f"][0]
			known := meanings(f).means
			for i := range f.refs {
				r := &f.refs[i]
				if r.target == nil || r.target.kind == kindCode || r.target.off+uint64(r.landing) != 16 {
					continue
				}
				got := ""
				if known[i] != nil {
					got = known[i].name
				}
				if got != test.want {
					t.Errorf("means %q, expected %q", got, test.want)
				}
				return
			}
			t.Error("no such reference")
		})
	}
}
