// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"golang.org/x/arch/x86/x86asm"

	"github.com/ulpatch/ulpatch/arch"
)

// Numbers of general registers in effects: as instructions encode them.
const (
	rbx = 3
	rsp = 4
	rbp = 5
	r12 = 12
	r15 = 15
)

func calleeSaved(reg int) bool {
	return reg == rbx || reg == rsp || reg == rbp || reg >= r12 && reg <= r15
}

// argument and result: the psABI, 3.2.3. rax tells a function with variable
// arguments of vector registers.
func argument(reg int) bool {
	const rax, rcx, rdx, rsi, rdi, r8, r9, r10 = 0, 1, 2, 6, 7, 8, 9, 10 // r10: of a nested function
	switch reg {
	case rax, rcx, rdx, rsi, rdi, r8, r9, r10:
		return true
	}
	return false
}

func result(reg int) bool { return reg == 0 || reg == 2 }

// one is the operation of an instruction whose first operand is all that it
// changes, beside the flags.
var one = map[x86asm.Op]arch.Op{
	x86asm.MOV: arch.OpMove, x86asm.LEA: arch.OpAddress, x86asm.MOVZX: arch.OpExtend,
	x86asm.MOVSX: arch.OpSign, x86asm.MOVSXD: arch.OpSign,
	x86asm.ADD: arch.OpAdd, x86asm.SUB: arch.OpSub, x86asm.AND: arch.OpAnd,
	x86asm.SHL: arch.OpLeft, x86asm.SHR: arch.OpRight, x86asm.CMP: arch.OpCompare,
	x86asm.TEST: arch.OpNone, x86asm.BT: arch.OpNone,
	x86asm.INC: arch.OpAdd, x86asm.DEC: arch.OpSub,
	x86asm.XOR: arch.OpUnknown, x86asm.OR: arch.OpUnknown, x86asm.SAR: arch.OpUnknown,
	x86asm.ADC: arch.OpUnknown, x86asm.SBB: arch.OpUnknown,
	x86asm.NEG: arch.OpUnknown, x86asm.NOT: arch.OpUnknown, x86asm.BSWAP: arch.OpUnknown,
	x86asm.ROL: arch.OpUnknown, x86asm.ROR: arch.OpUnknown,
	x86asm.BSF: arch.OpUnknown, x86asm.BSR: arch.OpUnknown, x86asm.POPCNT: arch.OpUnknown,
	x86asm.TZCNT: arch.OpUnknown, x86asm.LZCNT: arch.OpUnknown,
	x86asm.MOVD: arch.OpUnknown, x86asm.MOVQ: arch.OpUnknown, x86asm.MOVMSKPD: arch.OpUnknown,
	x86asm.MOVMSKPS: arch.OpUnknown, x86asm.PMOVMSKB: arch.OpUnknown,
	x86asm.CVTTSD2SI: arch.OpUnknown, x86asm.CVTSD2SI: arch.OpUnknown, x86asm.CVTTSS2SI: arch.OpUnknown,
	x86asm.CVTSI2SD: arch.OpUnknown, x86asm.CVTSI2SS: arch.OpUnknown,
}

// vectorOps are instructions of vector registers, which touch no other.
var vectorOps = map[x86asm.Op]bool{
	x86asm.MOVAPS: true, x86asm.MOVAPD: true, x86asm.MOVUPS: true, x86asm.MOVUPD: true, x86asm.MOVDQA: true, x86asm.MOVDQU: true,
	x86asm.MOVSS: true, x86asm.MOVSD_XMM: true, x86asm.MOVHPS: true, x86asm.MOVLPS: true, x86asm.MOVHPD: true, x86asm.MOVLPD: true,
	x86asm.PXOR: true, x86asm.POR: true, x86asm.PAND: true, x86asm.PANDN: true, x86asm.XORPS: true, x86asm.XORPD: true, x86asm.ANDPS: true, x86asm.ANDPD: true,
	x86asm.PADDB: true, x86asm.PADDW: true, x86asm.PADDD: true, x86asm.PADDQ: true, x86asm.PSUBD: true, x86asm.PSUBQ: true, x86asm.PMULUDQ: true,
	x86asm.PSRLDQ: true, x86asm.PSLLDQ: true, x86asm.PSRLQ: true, x86asm.PSLLQ: true, x86asm.PSRLD: true, x86asm.PSLLD: true,
	x86asm.PSHUFD: true, x86asm.SHUFPS: true, x86asm.SHUFPD: true, x86asm.UNPCKLPS: true, x86asm.UNPCKLPD: true,
	x86asm.PUNPCKLDQ: true, x86asm.PUNPCKLQDQ: true, x86asm.PUNPCKHDQ: true, x86asm.PUNPCKHQDQ: true, x86asm.PUNPCKLBW: true, x86asm.PUNPCKLWD: true,
	x86asm.ADDSD: true, x86asm.ADDSS: true, x86asm.SUBSD: true, x86asm.SUBSS: true, x86asm.MULSD: true, x86asm.MULSS: true, x86asm.DIVSD: true, x86asm.DIVSS: true,
	x86asm.ADDPD: true, x86asm.ADDPS: true, x86asm.MULPD: true, x86asm.MULPS: true, x86asm.SUBPD: true, x86asm.SUBPS: true,
	x86asm.CVTDQ2PD: true, x86asm.CVTDQ2PS: true, x86asm.CVTSS2SD: true, x86asm.CVTSD2SS: true, x86asm.SQRTSD: true,
	x86asm.UCOMISD: true, x86asm.UCOMISS: true, x86asm.COMISD: true, x86asm.COMISS: true,
}

// effect is arch.Arch.Effect: instructions that compilers make of C, and of them
// those whose every result is seen from the operands.
func effect(code []byte) ([]arch.Effect, bool) {
	if e, ok := oneEffect(code); ok {
		return []arch.Effect{e}, true
	}
	in, err := x86asm.Decode(code, 64)
	if err != nil {
		return nil, false
	}
	changed := func(reg int) arch.Effect {
		return arch.Effect{Op: arch.OpUnknown, Dst: register(reg, 64), ImmAt: -1}
	}
	switch to := operandOf(in, in.Args[0]); {
	case in.Op == x86asm.LEAVE:
		return []arch.Effect{changed(rsp), changed(rbp)}, true
	case in.Op == x86asm.POP && to.Kind == arch.Register && to.Bits == 64:
		return []arch.Effect{changed(to.Reg), changed(rsp)}, true
	}
	return nil, false
}

// oneEffect is effect for instructions of a single step.
func oneEffect(code []byte) (arch.Effect, bool) {
	if len(code) >= 4 && code[0] == 0xf3 && code[1] == 0x0f && code[2] == 0x1e && code[3] == 0xfa { // endbr64
		return arch.Effect{ImmAt: -1}, true
	}
	in, err := x86asm.Decode(code, 64)
	if err != nil || in.AddrSize != 64 {
		return arch.Effect{}, false
	}
	for _, p := range in.Prefix {
		switch p &^ (x86asm.PrefixImplicit | x86asm.PrefixIgnored) {
		case x86asm.PrefixREP, x86asm.PrefixREPN, x86asm.PrefixFS, x86asm.PrefixGS, x86asm.PrefixLOCK:
			if p&(x86asm.PrefixImplicit|x86asm.PrefixIgnored) == 0 && !vectorOps[in.Op] {
				return arch.Effect{}, false
			}
		}
	}
	e := arch.Effect{Bits: in.DataSize, Size: in.MemBytes, ImmAt: -1}
	op, known := one[in.Op]
	switch {
	case in.Op == x86asm.NOP:
		return e, true
	case comparesVectors(in.Op):
		e.Op, e.Access, e.Flags = arch.OpUnknown, hasMemory(in), true
	case vectorOps[in.Op]:
		e.Access = hasMemory(in)
	case known:
		e.Op = op
		e.Access = hasMemory(in) && in.Op != x86asm.LEA
		e.Flags = !keepsFlags(op)
	case conditionalMove(in.Op):
		e.Op = arch.OpSelect
		e.Access = hasMemory(in)
	case setsByte(in.Op):
		e.Op, e.Bits = arch.OpUnknown, 8
		e.Access = hasMemory(in)
	case in.Op == x86asm.IMUL && in.Args[1] != nil:
		e.Op, e.Flags = arch.OpUnknown, true
		e.Access = hasMemory(in)
	case in.Op == x86asm.CDQE:
		e.Op, e.Dst, e.Src = arch.OpSign, register(0, 64), register(0, 32)
		e.Bits = 64
		return e, true
	case in.Op == x86asm.CDQ, in.Op == x86asm.CQO:
		e.Op, e.Dst = arch.OpUnknown, register(2, 64)
		return e, true
	case in.Op == x86asm.PUSH, in.Op == x86asm.POP:
		if in.Op == x86asm.PUSH { // of a pop it cannot be told what it changes beside the stack pointer
			e.Op, e.Dst = arch.OpUnknown, register(rsp, 64)
		}
		return e, in.Op == x86asm.PUSH
	case in.Op == x86asm.CALL:
		e.Op, e.Src, e.Access = arch.OpCall, operandOf(in, in.Args[0]), hasMemory(in)
		return e, true
	default:
		e.Src, e.Access = operandOf(in, in.Args[0]), hasMemory(in)
		return e, jumps(in)
	}
	e.Dst, e.Src = operandOf(in, in.Args[0]), operandOf(in, in.Args[1])
	e.Left = e.Dst
	if e.Dst.Kind == arch.Register && e.Dst.Bits > 0 {
		e.Bits = e.Dst.Bits
	} else if e.Dst.Kind == arch.Memory && e.Src.Kind == arch.Register && e.Src.Bits > 0 {
		e.Bits = e.Src.Bits
	} else if e.Dst.Kind == arch.Memory {
		e.Bits = 8 * in.MemBytes
	}
	if segmented(in) { // thread-local: no address that is told by a register alone
		if e.Access = false; e.Op != arch.OpCompare {
			e.Op = arch.OpUnknown
		}
	}
	if in.Op == x86asm.INC || in.Op == x86asm.DEC {
		e.Src = arch.Operand{Kind: arch.Immediate, Imm: 1}
	}
	if in.Op == x86asm.XOR && in.Args[0] == in.Args[1] {
		e.Op = arch.OpZero
	}
	if _, shown := in.Args[1].(x86asm.Imm); shown && e.Op != arch.OpLeft && e.Op != arch.OpRight {
		e.ImmAt = in.Len - 4
		if in.Op == x86asm.MOV && in.DataSize == 64 && in.Len >= 10 && e.Dst.Kind == arch.Register {
			e.ImmAt = in.Len - 8
		}
	}
	return e, true
}

// keepsFlags says whether an operation leaves the flags as they are.
func keepsFlags(op arch.Op) bool {
	switch op {
	case arch.OpMove, arch.OpAddress, arch.OpExtend, arch.OpSign:
		return true
	}
	return false
}

func hasMemory(in x86asm.Inst) bool {
	for _, a := range in.Args {
		if _, ok := a.(x86asm.Mem); ok {
			return true
		}
	}
	return false
}

// segmented says whether the memory operand counts from another segment.
func segmented(in x86asm.Inst) bool {
	for _, a := range in.Args {
		if m, ok := a.(x86asm.Mem); ok && (m.Segment == x86asm.FS || m.Segment == x86asm.GS) {
			return true
		}
	}
	return false
}

func conditionalMove(op x86asm.Op) bool {
	switch op {
	case x86asm.CMOVA, x86asm.CMOVAE, x86asm.CMOVB, x86asm.CMOVBE, x86asm.CMOVE, x86asm.CMOVNE, x86asm.CMOVG, x86asm.CMOVGE,
		x86asm.CMOVL, x86asm.CMOVLE, x86asm.CMOVS, x86asm.CMOVNS, x86asm.CMOVO, x86asm.CMOVNO, x86asm.CMOVP, x86asm.CMOVNP:
		return true
	}
	return false
}

func setsByte(op x86asm.Op) bool {
	switch op {
	case x86asm.SETA, x86asm.SETAE, x86asm.SETB, x86asm.SETBE, x86asm.SETE, x86asm.SETNE, x86asm.SETG, x86asm.SETGE,
		x86asm.SETL, x86asm.SETLE, x86asm.SETS, x86asm.SETNS, x86asm.SETO, x86asm.SETNO, x86asm.SETP, x86asm.SETNP:
		return true
	}
	return false
}

// comparesVectors says whether an instruction of vector registers sets the flags.
func comparesVectors(op x86asm.Op) bool {
	switch op {
	case x86asm.UCOMISD, x86asm.UCOMISS, x86asm.COMISD, x86asm.COMISS:
		return true
	}
	return false
}

// jumps says whether an instruction only goes elsewhere.
func jumps(in x86asm.Inst) bool {
	switch in.Op {
	case x86asm.JMP, x86asm.RET, x86asm.JA, x86asm.JAE, x86asm.JB, x86asm.JBE, x86asm.JE, x86asm.JNE, x86asm.JG, x86asm.JGE, x86asm.JL, x86asm.JLE,
		x86asm.JS, x86asm.JNS, x86asm.JO, x86asm.JNO, x86asm.JP, x86asm.JNP:
		return true
	}
	return false
}

// bound is arch.Arch.Bound.
func bound(code []byte) (arch.Bound, bool) {
	in, err := x86asm.Decode(code, 64)
	if err != nil {
		return arch.Bound{}, false
	}
	switch in.Op {
	case x86asm.JA:
		return arch.Bound{Taken: false}, true
	case x86asm.JBE:
		return arch.Bound{Taken: true}, true
	case x86asm.JAE:
		return arch.Bound{Taken: false, Delta: -1}, true
	case x86asm.JB:
		return arch.Bound{Taken: true, Delta: -1}, true
	}
	return arch.Bound{}, false
}

func register(n, bits int) arch.Operand {
	return arch.Operand{Kind: arch.Register, Reg: n, Bits: bits, Base: -1, Index: -1}
}

// operandOf is what the instruction's operand is to an effect. A register that is
// no general one, or the second byte of one, is none.
func operandOf(in x86asm.Inst, a x86asm.Arg) arch.Operand {
	switch a := a.(type) {
	case x86asm.Reg:
		if n, bits := general(a); n >= 0 {
			return register(n, bits)
		}
	case x86asm.Imm:
		return arch.Operand{Kind: arch.Immediate, Imm: int64(a), Base: -1, Index: -1}
	case x86asm.Mem:
		o := arch.Operand{Kind: arch.Memory, Bits: 8 * in.MemBytes, Base: -1, Index: -1, Scale: int64(a.Scale), Imm: a.Disp}
		switch {
		case a.Base == x86asm.RIP:
			o.Counter = true
		case a.Base != 0:
			o.Base, _ = general(a.Base)
		}
		if a.Index != 0 {
			o.Index, _ = general(a.Index)
		}
		return o
	}
	return arch.Operand{Base: -1, Index: -1}
}

// general is the number and the width of a general register. The second byte of
// one has its number, and no width.
func general(r x86asm.Reg) (n, bits int) {
	switch {
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), 64
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), 32
	case r >= x86asm.AX && r <= x86asm.R15W:
		return int(r - x86asm.AX), 16
	case r >= x86asm.AL && r <= x86asm.BL:
		return int(r - x86asm.AL), 8
	case r >= x86asm.AH && r <= x86asm.BH:
		return int(r - x86asm.AH), 0
	case r >= x86asm.SPB && r <= x86asm.R15B:
		return int(r-x86asm.SPB) + rsp, 8
	}
	return -1, 0
}

// constant is arch.Arch.Constant.
func constant(code []byte) (v int64, mask []byte, ok bool) {
	e, known := oneEffect(code)
	const size = 4
	if !known || e.Op != arch.OpMove || e.Src.Kind != arch.Immediate || e.Bits < 32 || e.ImmAt != len(code)-size {
		return 0, nil, false
	}
	mask = make([]byte, len(code))
	for i := e.ImmAt; i < len(code); i++ {
		mask[i] = 0xff
	}
	return e.Src.Imm, mask, true
}
