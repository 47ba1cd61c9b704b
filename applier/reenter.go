// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/ulpatch/ulpatch/applier/ptrace"
	"github.com/ulpatch/ulpatch/arch"
)

// Where the kernel rewinds (arch.Syscall.Rewound), a thread whose system call was
// cut short by our stop looks like one that is about to make it. What the kernel
// means to do with the call, make it again, go on with a wait, or fail it with
// EINTR if there is a signal, it has noted where nobody sees it, and would have
// forgotten by the time a borrowed thread is given back.
//
// So such a thread is let into its call once more, interrupted at once, and
// stopped at the call's exit: there the result says it, and the kernel decides
// only when the thread leaves that stop. To give it back, the stop is made anew: a
// system call with the same first argument, which the kernel keeps to itself
// until then, at whose exit the registers are put back as they were.

// reenter takes a thread that stands at a system-call instruction into the call,
// and stops it at its exit, the call being interrupted. Where the call is through
// or fails, the thread is behind it. A thread that was not in the call yet makes
// it now.
func (b *borrowed) reenter() error {
	a := b.p.arch
	if !a.Syscall.Rewound {
		return nil
	}
	pc := arch.Addr(binary.LittleEndian.Uint64(b.thread.regs[a.Regs.PC:]))
	insn := make([]byte, len(a.Syscall.Instruction))
	if b.p.mem.Read(pc, insn) != nil || !bytes.Equal(insn, a.Syscall.Instruction) {
		return nil
	}
	before := bytes.Clone(b.thread.regs)
	if err := b.advance(); err != nil {
		return err
	}
	if err := b.Interrupt(); err != nil {
		return err
	}
	if err := b.advance(); err != nil {
		return err
	}
	b.regs = bytes.Clone(b.thread.regs)
	for _, reg := range a.Syscall.Stolen {
		copy(b.regs[reg:reg+8], before[reg:])
	}
	var number [4]byte
	if _, err := b.Registers(a.Syscall.NumberRegset, number[:]); err != nil {
		return err
	}
	if inCall := int32(binary.LittleEndian.Uint32(number[:])) >= 0; inCall && a.Syscall.Interrupted(b.regs) {
		b.rewound = before
	}
	return nil
}

// advance lets the thread go up to the next entry or exit of a system call. If a
// signal is what it meets instead, another thread will do.
func (b *borrowed) advance() error {
	deadline := time.Now().Add(borrowTimeout)
	for {
		if err := b.Syscall(); err != nil {
			return err
		}
		if err := b.stopper.await([]*thread{b.thread}, deadline); err != nil {
			return err
		}
		// A thread of a process that was stopped already stops twice: for having
		// been seized, and for our asking.
		again := b.last == ptrace.TrapStop || b.last == ptrace.GroupStop
		switch {
		case !b.gone && b.last == ptrace.SyscallStop:
			return nil
		case b.gone || !again || time.Now().After(deadline):
			return fmt.Errorf("thread %d %w now", b.TID, errUnfit)
		}
	}
}

// giveArgument makes a system call that does nothing and has the first argument
// of the call that was cut short: with it the kernel makes that call again.
func (b *borrowed) giveArgument() error {
	if b.rewound == nil {
		return nil
	}
	a := b.p.arch
	_, err := b.syscall("getpid", a.Syscall.Getpid, binary.LittleEndian.Uint64(b.rewound[a.Syscall.Args[0]:]))
	return err
}

// vectorState reads all that a thread has of vector registers.
func (t *thread) vectorState(a *arch.Arch) ([]byte, error) {
	_, set, err := t.vectorSet(a)
	return set, err
}

// vectorSet is vectorState with the note type of the set.
func (t *thread) vectorSet(a *arch.Arch) (note int, set []byte, err error) {
	if wide := a.SigFrame.WideFPRegset; wide != 0 {
		if set, err := t.Registers(wide, make([]byte, a.SigFrame.FPSize)); err == nil {
			return wide, set, nil
		}
	}
	set, err = t.Registers(a.SigFrame.FPRegset, make([]byte, a.SigFrame.FPSize))
	return a.SigFrame.FPRegset, set, err
}

// pointer is the thread pointer of a stopped thread.
func (t *thread) pointer(a *arch.Arch) (arch.Addr, bool) {
	if off := a.Regs.ThreadPointer; off >= 0 {
		return arch.Addr(binary.LittleEndian.Uint64(t.regs[off:])), true
	}
	set, err := t.Registers(a.Regs.ThreadRegset, make([]byte, 64))
	if err != nil || len(set) < 8 {
		return 0, false
	}
	return arch.Addr(binary.LittleEndian.Uint64(set)), true
}
