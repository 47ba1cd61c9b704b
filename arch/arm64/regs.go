// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"encoding/binary"

	"github.com/ulpatch/ulpatch/arch"
)

// Byte offsets in struct user_pt_regs (linux/arch/arm64/include/uapi/asm/ptrace.h).
const (
	regX30    = 30 * 8
	regSP     = 31 * 8
	regPC     = 32 * 8
	regPSTATE = 33 * 8
	regsSize  = 34 * 8
)

func regX(n int) int { return n * 8 }

// DWARF numbers (AADWARF64, "DWARF register names").
const (
	dwarfFP = 29
	dwarfLR = 30
	dwarfSP = 31
	dwarfPC = 32
)

// regs: DWARF numbers the registers as the kernel orders them.
var regs = arch.Regs{
	Size: regsSize,
	PC:   regPC,
	SP:   regSP,
	DWARF: func() []int {
		all := make([]int, dwarfPC+1)
		for n := range all {
			all[n] = regX(n)
		}
		return all
	}(),
	DWARFSP:       dwarfSP,
	DWARFFP:       dwarfFP,
	DWARFRA:       dwarfLR,
	DWARFPC:       dwarfPC,
	ThreadPointer: -1,
	ThreadRegset:  0x401, // NT_ARM_TLS
	RAInRegister:  true,
	MaskRegset:    0x406, // NT_ARM_PAC_MASK
	MaskSize:      16,
	Strip:         strip,
	ShadowRegset:  0x410, // NT_ARM_GCS
}

// strip follows struct user_pac_mask: a mask for pointers to data, then one for
// pointers to code. Bit 55 tells whose half of the address space it was.
func strip(addr arch.Addr, masks []byte) arch.Addr {
	const insnMask, kernelHalf = 8, 1 << 55
	if len(masks) < insnMask+8 {
		return addr
	}
	mask := arch.Addr(binary.LittleEndian.Uint64(masks[insnMask:]))
	if addr&kernelHalf != 0 {
		return addr | mask
	}
	return addr &^ mask
}

const (
	svc   = 0xd4000001 // svc #0
	movX8 = 0xd2801168 // mov x8, #139 (rt_sigreturn)
)

var syscall = arch.Syscall{
	Gadgets:   [][]byte{words(svc, ret)},
	Restorers: [][]byte{words(movX8, svc)},
	Number:    regX(8),
	Result:    regX(0),
	Args:      [6]int{regX(0), regX(1), regX(2), regX(3), regX(4), regX(5)},

	Never:        -1,
	NumberRegset: 0x404, // NT_ARM_SYSTEM_CALL
	Rewound:      true,
	Stolen:       []int{regX(7)},
	Instruction:  words(svc),
	Interrupted:  interrupted,
	Restart:      restart,

	MemfdCreate: 279,
	Mmap:        222,
	Munmap:      215,
	Close:       57,
	Getpid:      172,

	Top:         1 << 48, // mmap's window, also where addresses have 52 bits
	ProtGuarded: 0x10,    // PROT_BTI
	GuardedFlag: "bt",
}

// Results of a system call that was interrupted (linux/include/linux/errno.h).
const (
	restartSys    = -512
	restartNoIntr = -513
	restartNoHand = -514
	restartBlock  = -516
	resultEINTR   = ^uint64(3) // -EINTR

	sysPpoll      = 73
	sysSigsuspend = 133
)

func interrupted(set []byte) bool {
	switch int64(binary.LittleEndian.Uint64(set[regX(0):])) {
	case restartSys, restartNoIntr, restartNoHand, restartBlock:
		return true
	}
	return false
}

// restart: the kernel has done it. A wait for a signal is the exception: one that
// arrived meanwhile would be handled before the call is made again, and the call
// would then wait for another; it returns EINTR. What other CPUs call pause is a
// ppoll of nothing, for ever.
func restart(set []byte) {
	le := binary.LittleEndian
	reg := func(n int) uint64 { return le.Uint64(set[regX(n):]) }
	nr := reg(8)
	if nr == sysSigsuspend || nr == sysPpoll && reg(1) == 0 && reg(2) == 0 {
		le.PutUint64(set[regX(0):], resultEINTR)
		le.PutUint64(set[regPC:], le.Uint64(set[regPC:])+wordSize)
	}
}

// mangling is that of glibc (sysdeps/unix/sysv/linux/aarch64/pointer_guard.h and
// sysdeps/aarch64/jmpbuf-offsets.h).
var mangling = &arch.Mangling{
	Symbol: "__pointer_chk_guard",
	PC:     88 - 104,
	Reveal: func(word, guard uint64) uint64 { return word ^ guard },
}
