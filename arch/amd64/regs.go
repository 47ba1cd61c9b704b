// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"encoding/binary"
	"math/bits"

	"github.com/ulpatch/ulpatch/arch"
)

// Byte offsets in struct user_regs_struct (linux/arch/x86/include/asm/user_64.h).
const (
	regR15     = 0
	regR14     = 8
	regR13     = 16
	regR12     = 24
	regRBP     = 32
	regRBX     = 40
	regR11     = 48
	regR10     = 56
	regR9      = 64
	regR8      = 72
	regRAX     = 80
	regRCX     = 88
	regRDX     = 96
	regRSI     = 104
	regRDI     = 112
	regOrigRAX = 120
	regRIP     = 128
	regCS      = 136
	regEFLAGS  = 144
	regRSP     = 152
	regSS      = 160
	regFSBase  = 168
	regsSize   = 216
)

// regs numbers the registers as the x86-64 psABI does, figure 3.36.
var regs = arch.Regs{
	Size: regsSize,
	PC:   regRIP,
	SP:   regRSP,
	DWARF: []int{
		regRAX, regRDX, regRCX, regRBX, regRSI, regRDI, regRBP, regRSP,
		regR8, regR9, regR10, regR11, regR12, regR13, regR14, regR15,
		regRIP,
	},
	DWARFSP: 7,
	DWARFFP: 6,
	DWARFRA: 16,
	DWARFPC: 16,

	ThreadPointer: regFSBase,
}

// Results of a system call that was interrupted (linux/include/linux/errno.h).
// User space never sees them: the kernel turns them into a restart or EINTR
// when it delivers a signal or finds none.
const (
	restartSys    = -512
	restartNoIntr = -513
	restartNoHand = -514
	restartBlock  = -516

	sysPause        = 34
	sysSigsuspend   = 130
	noSyscall       = ^uint64(0)
	resultEINTR     = ^uint64(3) // -EINTR
	sizeSyscallInsn = 2
)

var syscall = arch.Syscall{
	Gadgets: [][]byte{{0x0f, 0x05, 0xc3}}, // syscall; ret
	Restorers: [][]byte{
		{0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05}, // mov $15,%rax; syscall
		{0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05},             // mov $15,%eax; syscall
	},
	Number:      regRAX,
	Result:      regRAX,
	Args:        [6]int{regRDI, regRSI, regRDX, regR10, regR8, regR9},
	Instruction: []byte{0x0f, 0x05},
	Restart:     restart,
	Never:       regOrigRAX,

	MemfdCreate: 319,
	Mmap:        9,
	Munmap:      11,
	Close:       3,
	Getpid:      39,

	Top: 1 << 47,
}

// mangling is that of glibc (sysdeps/unix/sysv/linux/x86_64/pointer_guard.h).
var mangling = &arch.Mangling{
	Guard:  0x30,
	PC:     8,
	Reveal: func(word, guard uint64) uint64 { return bits.RotateLeft64(word, -17) ^ guard },
}

// restart rewrites the registers of a thread that was stopped in a system call
// so that the call is made again from its start. A wait for a signal is the
// exception: one that arrived meanwhile would be handled before the call is
// made again, and the call would then wait for another; it returns EINTR.
func restart(set []byte) {
	le := binary.LittleEndian
	nr := le.Uint64(set[regOrigRAX:])
	if nr == noSyscall {
		return
	}
	switch int64(le.Uint64(set[regRAX:])) {
	case restartSys, restartNoIntr, restartNoHand, restartBlock:
		if nr == sysPause || nr == sysSigsuspend {
			le.PutUint64(set[regRAX:], resultEINTR)
			break
		}
		le.PutUint64(set[regRAX:], nr)
		le.PutUint64(set[regRIP:], le.Uint64(set[regRIP:])-sizeSyscallInsn)
	}
	le.PutUint64(set[regOrigRAX:], noSyscall)
}
