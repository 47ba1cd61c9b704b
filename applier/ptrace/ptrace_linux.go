// SPDX-License-Identifier: GPL-2.0-or-later

// Package ptrace stops threads, reads and writes their registers and lets them
// go, through PTRACE_SEIZE and nothing else. It knows the kernel's interface
// and no CPU: registers are plain bytes, whose layout package arch has.
//
// All calls for one thread have to come from the OS thread that seized it.
// When that OS thread ends, by whatever means, the kernel lets all of them run
// on; nothing here may ever leave a thread in a state in which that hurts it.
package ptrace

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	getSigMask = 0x420a
	setSigMask = 0x420b

	eventStop = 128 // PTRACE_EVENT_STOP, of seized threads only
)

// syscallStop is the stop signal of a system-call stop. Bit 7 comes from
// PTRACE_O_TRACESYSGOOD, and it is more than a mark: should we die before we
// have seen the stop, the kernel sends the thread this number as a signal, and
// since there is no such signal, none arrives. A plain SIGTRAP would kill.
const syscallStop = int(unix.SIGTRAP) | 0x80

// Thread is a seized thread. It runs or is stopped; the methods say which they
// want.
type Thread struct {
	TID int
	// Signal is what the thread was about to be delivered when it stopped (see
	// Stop); Resume and Detach hand it back.
	signal  unix.Signal
	stopped bool
}

// Stop tells why a thread stopped.
type Stop struct {
	Kind   StopKind
	Signal unix.Signal // of a SignalStop: about to be delivered; of a GroupStop: what stopped the process
	Status int         // of an Exit: the wait status
}

// StopKind is the sort of a stop.
type StopKind uint8

const (
	// TrapStop: the answer to Interrupt.
	TrapStop StopKind = iota
	// GroupStop: the process is stopped (SIGSTOP and its like).
	GroupStop
	// SignalStop: a signal is about to be delivered.
	SignalStop
	// SyscallStop: entry or exit of a system call, after Syscall.
	SyscallStop
	// Exit: the thread has ended and is reaped.
	Exit
)

// Error is a failed request.
type Error struct {
	Request string
	TID     int
	Err     error
}

func (e *Error) Error() string { return fmt.Sprintf("ptrace: %s: tid %d: %v", e.Request, e.TID, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

func fail(request string, tid int, errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return &Error{request, tid, errno}
}

// Seize attaches to a thread and does not stop it.
func Seize(tid int) (*Thread, error) {
	errno := request(unix.PTRACE_SEIZE, tid, 0, unix.PTRACE_O_TRACESYSGOOD)
	if errno != 0 {
		return nil, fail("seize", tid, errno)
	}
	return &Thread{TID: tid}, nil
}

// Interrupt asks a running thread to stop; Wait tells when it has.
func (t *Thread) Interrupt() error {
	return fail("interrupt", t.TID, request(unix.PTRACE_INTERRUPT, t.TID, 0, 0))
}

// Poll tells whether the thread has stopped or ended. It does not consume a
// stop: what a dead tracer has not consumed, such as a signal that is about to
// be delivered, the thread still gets. There is no waiting without end: a
// thread may be where nothing interrupts it.
func (t *Thread) Poll() (stop Stop, ok bool, err error) {
	code, status, errno := pollNoConsume(t.TID)
	switch {
	case errno == unix.EINTR:
		return Stop{}, false, nil
	case errno != 0:
		return Stop{}, false, fail("wait", t.TID, errno)
	case code == 0:
		return Stop{}, false, nil
	}
	stop, err = t.classify(code, status)
	return stop, err == nil, err
}

// codes of siginfo for SIGCHLD
const (
	cldExited = 1 + iota
	cldKilled
	cldDumped
	cldTrapped
	cldStopped
	cldContinued
)

func (t *Thread) classify(code, status int) (Stop, error) {
	if code != cldTrapped && code != cldStopped {
		var ws unix.WaitStatus
		if _, err := unix.Wait4(t.TID, &ws, unix.WALL|unix.WNOHANG, nil); err != nil {
			return Stop{}, &Error{"reap", t.TID, err}
		}
		t.stopped = false
		return Stop{Kind: Exit, Status: int(ws)}, nil
	}
	t.stopped = true
	t.signal = 0
	sig := unix.Signal(status & 0x7f)
	switch {
	case status>>8 == eventStop && sig == unix.SIGTRAP:
		return Stop{Kind: TrapStop}, nil
	case status>>8 == eventStop:
		return Stop{Kind: GroupStop, Signal: sig}, nil
	case status == syscallStop:
		return Stop{Kind: SyscallStop}, nil
	}
	t.signal = sig
	return Stop{Kind: SignalStop, Signal: sig}, nil
}

// Fault tells, of a thread in a SignalStop by a signal that instructions raise,
// whether one of its own did, and not another thread or process.
func (t *Thread) Fault() (bool, error) {
	code, errno := signalCode(t.TID)
	return code > 0, fail("getsiginfo", t.TID, errno)
}

// Drop forgets the signal that a thread stopped with: it is not delivered.
func (t *Thread) Drop() { t.signal = 0 }

// Stopped tells whether the last thing seen of the thread was a stop.
func (t *Thread) Stopped() bool { return t.stopped }

// Resume lets a stopped thread run, and delivers the signal that it stopped
// with, if it did.
func (t *Thread) Resume() error { return t.resume("cont", unix.PTRACE_CONT) }

// Syscall is Resume up to the next entry or exit of a system call.
func (t *Thread) Syscall() error { return t.resume("syscall", unix.PTRACE_SYSCALL) }

// Detach lets a stopped thread go for good, and delivers the signal that it
// stopped with, if it did.
func (t *Thread) Detach() error { return t.resume("detach", unix.PTRACE_DETACH) }

func (t *Thread) resume(name string, req int) error {
	errno := request(req, t.TID, 0, uintptr(t.signal))
	if errno != 0 {
		return fail(name, t.TID, errno)
	}
	t.stopped, t.signal = false, 0
	return nil
}

// Registers fills set with the register set of the given note type
// (NT_PRSTATUS, NT_X86_XSTATE, ...) and returns the part that was filled.
func (t *Thread) Registers(note int, set []byte) ([]byte, error) {
	n, errno := regset(unix.PTRACE_GETREGSET, t.TID, note, set)
	if errno != 0 {
		return nil, fail("getregset", t.TID, errno)
	}
	return set[:n], nil
}

// SetRegisters sets a register set.
func (t *Thread) SetRegisters(note int, set []byte) error {
	_, errno := regset(unix.PTRACE_SETREGSET, t.TID, note, set)
	return fail("setregset", t.TID, errno)
}

// SignalMask is the set of blocked signals; bit n-1 is signal n.
func (t *Thread) SignalMask() (uint64, error) {
	mask, errno := sigmask(getSigMask, t.TID, 0)
	return mask, fail("getsigmask", t.TID, errno)
}

// SetSignalMask sets the blocked signals.
func (t *Thread) SetSignalMask(mask uint64) error {
	_, errno := sigmask(setSigMask, t.TID, mask)
	return fail("setsigmask", t.TID, errno)
}

// Sequences is the address of a stopped thread's struct rseq (rseq(2)); 0 where
// it has registered none, and on kernels that do not tell, those before Linux 5.13.
func (t *Thread) Sequences() (addr uint64, err error) {
	c, errno := rseq(t.TID)
	if errno == unix.EIO || errno == unix.EINVAL {
		return 0, nil
	}
	return c.pointer, fail("get_rseq_configuration", t.TID, errno)
}

// SuspendSeccomp switches the thread's seccomp filters off or on again. It
// needs CAP_SYS_ADMIN and a kernel with CONFIG_CHECKPOINT_RESTORE. The kernel
// switches them on again by itself when the tracer dies.
func (t *Thread) SuspendSeccomp(suspend bool) error {
	options := uintptr(unix.PTRACE_O_TRACESYSGOOD)
	if suspend {
		options |= unix.PTRACE_O_SUSPEND_SECCOMP
	}
	return fail("setoptions", t.TID, request(unix.PTRACE_SETOPTIONS, t.TID, 0, options))
}
