// SPDX-License-Identifier: GPL-2.0-or-later

package arch

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
	// RAInRegister: a called function finds its return address in a register
	// (the link register) and not on the stack.
	RAInRegister bool
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
	Never int
	// Restart rewrites the registers of a thread that was stopped in a system
	// call so that it makes the call again, whatever runs in between. It changes
	// nothing for a thread that was in none.
	Restart func(regs []byte)

	MemfdCreate, Mmap, Munmap, Close, Getpid uint64 // system-call numbers
}

// SigFrame builds what a thread needs to restore itself without us: the signal
// frame that rt_sigreturn reads.
type SigFrame struct {
	// FPRegset is the note type of the vector state (NT_X86_XSTATE, NT_PRFPREG),
	// FPSize the most bytes that it has.
	FPRegset, FPSize int
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
	Build func(top Addr, regs, fp []byte, mask uint64, restorer Addr) (frame []byte, at Addr, err error)
}

// Mangling is how the C library hides the stack pointer and the program counter
// in a jmp_buf (glibc's PTR_MANGLE).
type Mangling struct {
	// Guard is the offset of the 8-byte secret from the thread pointer.
	Guard int
	// Reveal gives back what was mangled with the secret.
	Reveal func(word, guard uint64) uint64
}
