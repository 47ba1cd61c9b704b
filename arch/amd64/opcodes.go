// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

// What follows an opcode. The letters for operands are those of the Intel SDM,
// volume 2, appendix A, where it has them.
const (
	opInvalid   = 'x' // undefined in 64-bit mode
	opNone      = '.' // nothing
	opPrefix    = 'p' // a legacy prefix, and no opcode
	opREX       = 'r'
	opREX2      = '2'
	opVEX2      = '5'
	opVEX3      = '4'
	opEVEX      = '6'
	opEscape    = '0' // the two-byte map follows
	opEscape38  = '8'
	opEscape3A  = 'a'
	opModRM     = 'm'
	opModRMReg  = 'c' // ModRM whose mod field is taken to be 3
	opModRMIb   = 'B'
	opModRMIz   = 'Z'
	opIb        = 'b' // imm8
	opIw        = 'w' // imm16
	opIz        = 'z' // imm32, imm16 with a 66 prefix
	opIv        = 'v' // imm64 with REX.W, else like Iz
	opIwIb      = 'e' // enter
	opOffset    = 'o' // an address of 8 bytes, 4 with a 67 prefix
	opJb        = 'j' // rel8
	opJz        = 'J' // rel32
	opPopXOP    = 'P' // pop, or XOP's escape where the next byte's low bits are 8 or more
	opGroup3Eb  = 'f' // imm8 where reg is 0 or 1 (test)
	opGroup3Ev  = 'F' // imm32 or imm16 where reg is 0 or 1 (test)
	opGroup4    = 'i' // inc, dec
	opGroup5    = 'I' // inc, dec, call, jmp, push
	opGroup11Eb = 'k' // mov; xabort
	opGroup11Ev = 'K' // mov; xbegin
	opGroup17   = 'q' // 0F 78: two imm8 with a 66 or F2 prefix (SSE4a)
)

// oneByte is the opcode map of one byte: a row for each high nibble.
const oneByte = "" +
	"mmmmbzxxmmmmbzx0" + // 00 add, or; 0F escape
	"mmmmbzxxmmmmbzxx" + // 10 adc, sbb
	"mmmmbzpxmmmmbzpx" + // 20 and, sub; es, cs
	"mmmmbzpxmmmmbzpx" + // 30 xor, cmp; ss, ds
	"rrrrrrrrrrrrrrrr" + // 40 REX
	"................" + // 50 push, pop
	"xx6mppppzZbB...." + // 60 EVEX, movsxd, fs, gs, 66, 67, push, imul, ins, outs
	"jjjjjjjjjjjjjjjj" + // 70 jcc
	"BZxBmmmmmmmmmmmP" + // 80 group 1, test, xchg, mov, lea, group 1A
	"..........x....." + // 90 xchg, cbw, cwd, wait, pushf, popf, sahf, lahf
	"oooo....bz......" + // A0 mov moffs, string instructions, test
	"bbbbbbbbvvvvvvvv" + // B0 mov
	"BBw.45kKe.w..bx." + // C0 group 2, ret, VEX, group 11, enter, leave, retf, int3, int, iret
	"mmmmx2x.mmmmmmmm" + // D0 group 2, REX2, xlat, x87
	"jjjjbbbbJJxj...." + // E0 loop, jrcxz, in, out, call, jmp
	"p.pp..fF......iI" //   F0 lock, int1, repne, rep, hlt, cmc, groups 3, 4, 5

// twoByte is the map behind 0F.
const twoByte = "" +
	"mmmmx.....x.xm.B" + // 00 groups 6, 7, syscall, sysret, wbinvd, ud2, prefetch, femms, 3DNow!
	"mmmmmmmmmmmmmmmm" + // 10 SSE moves, nops, endbr
	"ccccxxxxmmmmmmmm" + // 20 mov control and debug registers, SSE
	"......x.8xaxxxxx" + // 30 wrmsr, rdtsc, rdmsr, rdpmc, sysenter, sysexit, getsec
	"mmmmmmmmmmmmmmmm" + // 40 cmov
	"mmmmmmmmmmmmmmmm" + // 50 SSE
	"mmmmmmmmmmmmmmmm" + // 60 SSE
	"BBBBmmm.qmxxmmmm" + // 70 SSE, shift groups, emms, vmread, vmwrite
	"JJJJJJJJJJJJJJJJ" + // 80 jcc
	"mmmmmmmmmmmmmmmm" + // 90 setcc
	"...mBmmm...mBmmm" + // A0 push, pop, cpuid, bt, shld, padlock, rsm, bts, shrd, group 15, imul
	"mmmmmmmmmmBmmmmm" + // B0 cmpxchg, lss, btr, movzx, popcnt, ud1, group 8, btc, bsf, bsr, movsx
	"mmBmBBBm........" + // C0 xadd, cmpps, movnti, pinsrw, pextrw, shufps, group 9, bswap
	"mmmmmmmmmmmmmmmm" + // D0 SSE
	"mmmmmmmmmmmmmmmm" + // E0 SSE
	"mmmmmmmmmmmmmmmm" //   F0 SSE, ud0

// vector is the map of VEX and EVEX that stands for 0F. Of the maps 38 and 3A
// all have a ModRM byte, and 3A an imm8 as well, with any encoding. The maps 5
// and 6 of EVEX are like 38. So instructions that are not defined yet are
// stepped over as they will be: their length is a property of the map.
func vector(opcode byte) byte {
	switch opcode {
	case 0x70, 0x71, 0x72, 0x73, 0xc2, 0xc4, 0xc5, 0xc6:
		return opModRMIb
	case 0x77: // vzeroupper, vzeroall
		return opNone
	}
	return opModRM
}
