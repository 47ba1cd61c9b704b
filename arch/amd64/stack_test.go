// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"strings"
	"testing"
)

// TestMovesStack: what switches stacks is told from what makes and leaves frames.
func TestMovesStack(t *testing.T) {
	kept := []string{
		"endbr64", "push %rbp", "push %rsp", "pop %rbp", "pop (%rsp)", "push $1", "call .", "call *%rax", "call *%rsp", "ret", "ret $8",
		"jmp .", "jmp *%rax", "jne .", "nop", "nopw 8(%rax,%rax)", "ud2", "sub $8,%rsp", "sub $0x1000,%rsp", "add $0x1000,%rsp",
		"and $-32,%rsp", "lea 8(%rsp),%rsp", "mov %rsp,%rbp", "mov %rsp,(%rdi)", "mov %rsp,%rax", "lea 8(%rsp),%rdi",
		"mov 8(%rsp),%rbp", "mov %rax,(%rsp)", "cmp %rsp,%rax", "cmp %rax,%rsp", "test %rsp,%rsp", "orq $0,(%rsp)",
		"xchg %rax,%rbx", "lock cmpxchg %rcx,(%rsp)", "imul $3,%rax,%rcx", "movaps %xmm0,16(%rsp)", "cqto", "rep stosq", "div %rcx",
		"movups %xmm1,(%rsi)", "xor %eax,%eax", "mov %fs:0x28,%rax", "sub %fs:0x28,%rdx", "setne %al", "cmovne %rax,%rbx",
	}
	moved := []string{
		"mov %rsi,%rsp", "mov (%rdi),%rsp", "mov %rbp,%rsp", "lea -8(%rbp),%rsp", "lea 8(%rsp,%rax),%rsp", "leave", "pop %rsp",
		"xchg %rsp,%rax", "xchg %rax,%rsp", "xchg %rsp,(%rdi)", "xadd %rax,%rsp", "xadd %rsp,%rax", "add %rax,%rsp", "sub %rax,%rsp",
		"add (%rdi),%rsp", "or %rax,%rsp", "xor %rax,%rsp", "cmovne %rax,%rsp", "movq %xmm0,%rsp", "mov %esi,%esp", "mov %si,%sp",
		"mov %sil,%spl", "add $8,%esp", "inc %rsp", "neg %rsp", "bswap %rsp", "imul $3,%rsp,%rsp", "shl $1,%rsp", "movabs $1,%rsp",
		"syscall", "int $0x80", "iretq", "enter $8,$0", "rorx $1,%rax,%rsp", "cmpxchg %rax,%rsp",
	}
	for _, c := range []struct {
		insns []string
		want  bool
	}{{kept, false}, {moved, true}} {
		f := openELF(t, assemble(t, "insns", ".text\n"+strings.Join(c.insns, "\n")+"\n"))
		code := sectionData(t, f, ".text")
		for _, text := range c.insns {
			insn, err := decode(code, 0)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if got := Arch.MovesStack(code[:insn.Len]); got != c.want {
				t.Errorf("%s: % x: %v", text, code[:insn.Len], got)
			}
			code = code[insn.Len:]
		}
		if len(code) > 0 {
			t.Errorf("% x is left", code)
		}
	}
	if !Arch.MovesStack([]byte{0x48, 0x89}) || !Arch.MovesStack(nil) {
		t.Error("half an instruction keeps the stack pointer")
	}
}
