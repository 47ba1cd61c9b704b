// SPDX-License-Identifier: GPL-2.0-or-later

package arch

import "errors"

// Regs is the layout of the general registers as the kernel hands them over
// (PTRACE_GETREGSET, NT_PRSTATUS: struct user_regs_struct), in byte offsets.
type Regs struct {
	Size   int
	PC, SP int
	// DWARF maps a DWARF register number to its offset; -1 where the register
	// is not in the set. DWARFSP is the stack pointer's number and DWARFRA the
	// return-address column.
	DWARF            []int
	DWARFSP, DWARFFP int
	DWARFRA          int
	// ThreadPointer is the register offset of the thread pointer; -1 where it is
	// not in the set.
	ThreadPointer int
	// ThreadRegset is then the note type of a register set whose first 8 bytes it
	// is (NT_ARM_TLS); 0 where there is none.
	ThreadRegset int
	// DWARFPC is the program counter's number. It is not DWARFRA where a link
	// register holds the return address: an interrupted function has both.
	DWARFPC int
	// RAInRegister: a called function finds its return address in a register
	// (the link register) and not on the stack.
	RAInRegister bool
	// MaskRegset is the note type of the register set with the masks of pointer
	// authentication (NT_ARM_PAC_MASK), MaskSize its bytes; 0 where the CPU has no
	// such thing. All threads of a process have the same masks, and none where the
	// kernel has no such set for them.
	MaskRegset, MaskSize int
	// Strip gives back a return address as it was before it was signed. masks is
	// that register set, or nil. It is nil where MaskRegset is 0.
	Strip func(addr Addr, masks []byte) Addr
	// ShadowRegset is the note type of a register set whose first 8 bytes are odd
	// where the thread has a shadow stack (NT_ARM_GCS); 0 where none tells.
	ShadowRegset int
}

// Syscall is how a thread that is borrowed makes a system call.
type Syscall struct {
	// Gadgets are byte patterns of "system call; return", any of which will
	// do, as they are found in a C library or in the vDSO.
	Gadgets [][]byte
	// Restorers are byte patterns of the code that a signal handler returns
	// to (rt_sigreturn).
	Restorers [][]byte

	Number, Result int    // register offsets in Regs
	Args           [6]int // register offsets in Regs

	// Never is the offset of the register that tells the kernel which system
	// call a thread is in; all ones there say none, so that nothing is restarted.
	// It is -1 where there is no such register.
	Never int
	// NumberRegset is the note type of a register set of 4 bytes that is the
	// number of the system call that a thread is in, where no register is; all
	// ones say none. It takes the part of Never.
	NumberRegset int
	// Rewound: in the stop by PTRACE_INTERRUPT, and there only, the kernel has
	// already taken a thread that was in a system call back to its instruction,
	// with its arguments, so that it looks like one that is about to make it.
	Rewound bool
	// Stolen are the offsets of registers that are the kernel's own in the stops at
	// the entry and exit of a system call: what is read there is not the thread's,
	// and what is written is lost.
	Stolen []int
	// Interrupted tells, where Rewound, of a thread that is stopped at the exit of
	// a system call whether it was cut short and the kernel is about to restart
	// it, or to make it fail with EINTR.
	Interrupted func(regs []byte) bool
	// Instruction is the instruction that makes a system call.
	Instruction []byte
	// Restart rewrites the registers of a thread that was stopped in a system
	// call so that it makes the call again, whatever runs in between. It changes
	// nothing for a thread that was in none. Where Rewound, it is for a thread
	// whose call was cut short, and regs are as the kernel has rewound them.
	Restart func(regs []byte)

	MemfdCreate, Mmap, Munmap, Close, Getpid uint64 // system-call numbers

	// Top is the end of the addresses that mmap hands out unless it is asked for
	// more: where the kernel's user address space is smaller, it ends above the
	// stack.
	Top Addr
	// ProtGuarded makes mmap guard code (PROT_BTI): an indirect branch into it has
	// to go where Lands. GuardedFlag is how VmFlags of proc_pid_smaps(5) calls
	// it. They are 0 and "" where nothing is guarded.
	ProtGuarded uint64
	GuardedFlag string
}

// SigFrame builds what a thread needs to restore itself without us: the signal
// frame that rt_sigreturn reads.
type SigFrame struct {
	// FPRegset is the note type of the vector state (NT_X86_XSTATE, NT_PRFPREG),
	// FPSize the most bytes that it has.
	FPRegset, FPSize int
	// WideFPRegset is the note type of a set that has the registers of FPRegset
	// and more (NT_ARM_SVE), and is read in its place where a thread has it; 0
	// where there is none. FPSize is for either.
	WideFPRegset int
	// Volatile tells whether the vector state, as WideFPRegset has it, holds what
	// a system call does not keep. It has to be written back to a thread that
	// made one. It is nil where there is no such state.
	Volatile func(fp []byte) bool
	// RedZone is the number of bytes below the stack pointer that belong to the
	// thread.
	RedZone uint64
	// Saved are the offsets from the stack pointer, at the start of a restorer,
	// of the interrupted thread's registers, by DWARF number; -1 where one is not
	// there.
	Saved []int
	// Build returns the bytes of a frame that ends at or below top, and the
	// address of the first of them. Where the thread continues at a system-call
	// gadget with that address as its stack pointer, the gadget returns to
	// restorer, and rt_sigreturn then gives the thread regs, the vector state
	// fp and the signal mask.
	// The error wraps ErrUnfit where a frame cannot hold what the thread has.
	Build func(top Addr, regs, fp []byte, mask uint64, restorer Addr) (frame []byte, at Addr, err error)
	// Enter prepares the registers of a thread that continues at a system-call
	// gadget, but for the program counter, the stack pointer and the system call:
	// where it returns to, if that is in a register, and what the interrupted
	// instruction left that the gadget must not see.
	Enter func(regs []byte, restorer Addr)
	// Call prepares registers and vector state for a function that the thread is to
	// call, beyond what Enter does: what the ABI says of a function's entry, and
	// what was interrupted need not keep. It is nil where there is nothing to do.
	Call func(regs, fp []byte)
}

// ErrUnfit: a thread is in a state that a signal frame cannot bring back.
// Another thread will do.
var ErrUnfit = errors.New("its state does not fit in a signal frame")

// Mangling is how the C library hides the stack pointer and the program counter
// in a jmp_buf (glibc's PTR_MANGLE).
type Mangling struct {
	// Guard is the offset of the 8-byte secret from the thread pointer, or, where
	// there is a Symbol, unused: then the secret is that variable of the dynamic
	// linker.
	Guard  int
	Symbol string
	// PC is where the program counter is in a jmp_buf, in bytes from the stack
	// pointer.
	PC int
	// Reveal gives back what was mangled with the secret.
	Reveal func(word, guard uint64) uint64
}
