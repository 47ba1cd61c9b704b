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

	// Restarted changes the registers of a thread that was stopped in a system
	// call so that it makes the call again, or, with live set, so that it goes
	// on with it as the kernel would (restart_syscall). It changes nothing for
	// a thread that was in none.
	Restarted func(regs []byte, live bool)

	MemfdCreate, Mmap, Munmap, Close, Ftruncate, Getpid uint64
}

// SigFrame builds what a thread needs to restore itself without us.
type SigFrame struct {
	// FPRegset is the note type of the vector state (NT_X86_XSTATE, NT_PRFPREG).
	FPRegset int
	// Build returns the bytes of a signal frame that ends below top, and the
	// address of its first byte. After rt_sigreturn with the stack pointer that
	// Enter arranges, the thread has regs, vector state fp and signal mask.
	Build func(top Addr, regs, fp []byte, mask uint64) (frame []byte, at Addr, err error)
	// Enter changes regs so that a system-call gadget at pc returns into the
	// restorer, and so into the frame at frame, whose bytes it may complete.
	Enter func(regs, frame []byte, at, pc, restorer Addr)
}
