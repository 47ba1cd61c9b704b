// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"bytes"

	"golang.org/x/arch/x86/x86asm"
)

// movesStack is arch.Arch.MovesStack. What is kept is what compilers make of C
// without frame pointers.
func movesStack(code []byte) bool {
	if bytes.HasPrefix(code, landingPad) {
		return false
	}
	in, err := x86asm.Decode(code, 64)
	if err != nil || in.Op == 0 {
		return true
	}
	switch in.Op {
	case x86asm.CMP, x86asm.TEST, x86asm.PUSH, x86asm.CALL, x86asm.RET, x86asm.JMP, x86asm.BT:
		return false // they read their operands
	case x86asm.LEAVE, x86asm.ENTER, x86asm.SYSCALL, x86asm.SYSENTER, x86asm.INT, x86asm.IRET, x86asm.IRETD, x86asm.IRETQ,
		x86asm.LRET, x86asm.SYSEXIT, x86asm.SYSRET:
		return true // rt_sigreturn is a system call
	}
	for i, a := range in.Args {
		r, ok := a.(x86asm.Reg)
		if n, _ := general(r); !ok || n != rsp {
			continue
		}
		switch swaps := in.Op == x86asm.XCHG || in.Op == x86asm.XADD; {
		case swaps:
			return true
		case i == 0:
			return r != x86asm.RSP || !adjusts(in)
		}
	}
	return false
}

// adjusts tells whether an instruction adds a constant to the stack pointer, or
// aligns it.
func adjusts(in x86asm.Inst) bool {
	switch in.Op {
	case x86asm.ADD, x86asm.SUB, x86asm.AND:
		_, ok := in.Args[1].(x86asm.Imm)
		return ok
	case x86asm.LEA:
		m, ok := in.Args[1].(x86asm.Mem)
		return ok && m.Base == x86asm.RSP && m.Index == 0
	}
	return false
}
