// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/ptrace"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format/hint"
)

const (
	// hookStack is how much stack a hook has, in bytes.
	hookStack = 32 << 10
	// faults are the signals that a thread's own instructions raise: SIGILL,
	// SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS. The kernel takes an application's
	// handler of one away if it comes while it is blocked.
	faults = 1<<(unix.SIGILL-1) | 1<<(unix.SIGTRAP-1) | 1<<(unix.SIGBUS-1) |
		1<<(unix.SIGFPE-1) | 1<<(unix.SIGSEGV-1) | 1<<(unix.SIGSYS-1)
)

// call is a function of the process that a borrowed thread is to call.
type call struct {
	*borrowed
	note   int    // of the register set with the thread's vector state
	vector []byte // which no function has to keep
}

// callFunction lets the thread call a function of the process as the kernel calls
// a signal handler: it returns into the signal frame. So it ends, and the thread
// goes on, whatever becomes of us. A function that does not return within limit
// is left alone with the thread.
func (b *borrowed) callFunction(at arch.Addr, limit time.Duration) error {
	note, vector, err := b.vectorSet(b.p.arch)
	if err != nil {
		return err
	}
	c := &call{b, note, vector}
	if _, err := b.syscall("getpid", b.p.arch.Syscall.Getpid); err != nil {
		return err // the thread is at the exit of a system call now
	}
	below, err := c.stackBelow()
	if err != nil {
		return err
	}
	if err := c.enter(at); err != nil {
		return err
	}
	err = c.run(time.Now().Add(limit), below)
	var already *hookError
	if err == nil || errors.As(err, &already) || errors.Is(err, proc.ErrNoProcess) {
		return err
	}
	return &hookError{err}
}

// run lets the function run, and makes the thread again what it was before.
func (c *call) run(deadline time.Time, below saved) error {
	c.step("hook:entered")
	if err := c.awaitReturn(deadline); err != nil {
		return err
	}
	c.step("hook:returned")
	// Return addresses that are left behind would keep the patch in memory.
	if err := c.p.mem.Write(below.at, below.bytes); err != nil {
		return err
	}
	if err := c.SetRegisters(c.note, c.vector); err != nil {
		return err
	}
	return c.SetSignalMask(allSignals)
}

type saved struct {
	at    arch.Addr
	bytes []byte
}

// stackBelow is what the function's own frames will overwrite.
func (c *call) stackBelow() (s saved, err error) {
	stack, ok := c.p.maps.Find(c.low)
	if !ok {
		return s, fmt.Errorf("no stack at %#x", uint64(c.low))
	}
	s.at = max(stack.Start, c.low-min(c.low, hookStack))
	s.bytes = make([]byte, c.frame-s.at)
	return s, c.p.mem.Read(s.at, s.bytes)
}

// enter puts a thread that is at the exit of a system call in front of a function.
// Until it runs, and after that too, it comes back by itself.
func (c *call) enter(at arch.Addr) error {
	a := c.p.arch
	le := binary.LittleEndian
	if c.seccomp { // the function gets no more rights than the process has
		if err := c.SuspendSeccomp(false); err != nil {
			return err
		}
	}
	fp := bytes.Clone(c.vector)
	set := bytes.Clone(c.call)
	le.PutUint64(set[a.Regs.PC:], uint64(at))
	le.PutUint64(set[a.Regs.SP:], uint64(c.frame))
	if a.SigFrame.Call != nil {
		a.SigFrame.Call(set, fp)
	}
	if err := c.SetSignalMask(allSignals &^ faults); err != nil {
		return err
	}
	if err := c.SetRegisters(c.note, fp); err != nil {
		return err
	}
	return c.SetRegisters(ntPRStatus, set)
}

// awaitReturn waits until the function has returned and its thread is about to
// restore itself, and takes the thread over there.
func (c *call) awaitReturn(deadline time.Time) error {
	nap := 10 * time.Microsecond
	for {
		if err := c.Syscall(); err != nil {
			return err
		}
		stop, err := c.awaitStop(deadline, &nap)
		if err != nil {
			return err
		}
		switch stop.Kind {
		case ptrace.SyscallStop:
			c.last = stop.Kind
			if err := c.stopper.readRegs(c.thread); err != nil {
				return err
			}
			if c.atRestorer() {
				return c.turnBack()
			}
			c.restart()
		case ptrace.SignalStop:
			if own, err := c.Fault(); err != nil || own {
				return errors.Join(c.crashed(stop.Signal), err)
			}
		}
	}
}

// awaitStop waits for the next stop. At the deadline the thread is let go.
func (c *call) awaitStop(deadline time.Time, nap *time.Duration) (ptrace.Stop, error) {
	for {
		stop, ok, err := c.Poll()
		switch {
		case err != nil:
			return stop, err
		case ok && stop.Kind == ptrace.Exit:
			c.gone = true
			return stop, proc.ErrNoProcess
		case ok:
			return stop, nil
		case time.Now().After(deadline):
			return stop, c.leave()
		}
		ptrace.Sleep(*nap)
		*nap = min(*nap*2, time.Millisecond)
	}
}

// inTimedWait says whether the thread was borrowed in a system call that the kernel
// goes on with in its own way: a wait with a relative time-out.
func (b *borrowed) inTimedWait() bool {
	const restartBlock = -516 // ERESTART_RESTARTBLOCK
	return int64(binary.LittleEndian.Uint64(b.regs[b.p.arch.Syscall.Result:])) == restartBlock
}

// restart makes a wait that the thread was borrowed in begin anew: the kernel notes
// how to go on with one in a place that system calls of the function have taken.
func (c *call) restart() {
	if !c.inTimedWait() {
		return
	}
	again := c.p.arch.Syscall.Restart
	switch {
	case c.rewound != nil:
		c.regs, c.rewound = bytes.Clone(c.rewound), nil
		again(c.regs)
	case !c.p.arch.Syscall.Rewound:
		again(c.regs)
	}
}

// leave lets the thread go on with the function, and come back by itself.
func (c *call) leave() error {
	c.left = true
	err := &hookError{hint.With(fmt.Errorf("it has not returned in time, and thread %d is still in it", c.TID),
		"the thread goes on by itself when it returns; then ulpatch-apply recover")}
	if ierr := c.Interrupt(); ierr != nil {
		return errors.Join(err, ierr)
	}
	if aerr := c.stopper.await([]*thread{c.thread}, time.Now().Add(borrowTimeout)); aerr != nil {
		return errors.Join(err, aerr) // the end of our OS thread lets it go
	}
	return err
}

// atRestorer says whether the thread is about to make the rt_sigreturn behind the
// function's end.
func (c *call) atRestorer() bool {
	const restorer, popped = 16, 16 // more than any has
	a := c.p.arch
	le := binary.LittleEndian
	pc := arch.Addr(le.Uint64(c.thread.regs[a.Regs.PC:]))
	sp := arch.Addr(le.Uint64(c.thread.regs[a.Regs.SP:]))
	return pc > c.g.restorer && pc <= c.g.restorer+restorer && sp >= c.frame && sp <= c.frame+popped
}

// turnBack keeps the thread from that system call: the kernel would forget the one
// that it was borrowed in. It is left in front of the code that makes it again.
func (c *call) turnBack() error {
	a := c.p.arch
	le := binary.LittleEndian
	set := bytes.Clone(c.thread.regs)
	le.PutUint64(set[a.Regs.PC:], uint64(c.g.restorer))
	if a.Syscall.Never >= 0 {
		le.PutUint64(set[a.Syscall.Never:], ^uint64(0))
	}
	if err := c.SetRegisters(ntPRStatus, set); err != nil {
		return err
	}
	if c.seccomp {
		if err := c.SuspendSeccomp(true); err != nil {
			return err
		}
	}
	if err := c.inNoCall(); err != nil {
		return err
	}
	if err := c.Syscall(); err != nil {
		return err
	}
	if err := c.awaitSyscall(); err != nil || len(a.Syscall.Stolen) == 0 {
		return err
	}
	return c.giveStolen()
}

// giveStolen takes the thread through a stop in which the registers can be set that
// are the kernel's own in stops at system calls: the function has used them.
func (c *call) giveStolen() error {
	if err := c.Interrupt(); err != nil {
		return err
	}
	if err := c.Resume(); err != nil {
		return err
	}
	if err := c.stopper.await([]*thread{c.thread}, time.Now().Add(heldTimeout)); err != nil {
		return fmt.Errorf("thread %d: %s", c.TID, err.Error()) // not ErrBusy: the function was called
	}
	_, err := c.syscall("getpid", c.p.arch.Syscall.Getpid)
	return err
}

// crashed takes the thread away from a function that has raised a signal. The
// process would end with it.
func (c *call) crashed(sig unix.Signal) error {
	where := ""
	pc := c.p.arch.Regs.PC
	if rerr := c.stopper.readRegs(c.thread); rerr == nil {
		where = fmt.Sprintf(" at %#x", binary.LittleEndian.Uint64(c.thread.regs[pc:]))
	}
	err := &hookError{fmt.Errorf("it was ended by %s%s, and its thread goes on where it was before", unix.SignalName(sig), where)}
	c.Drop()
	if c.seccomp {
		if serr := c.SuspendSeccomp(true); serr != nil {
			return errors.Join(err, serr)
		}
	}
	if serr := c.SetSignalMask(allSignals); serr != nil {
		return errors.Join(err, serr)
	}
	_, serr := c.syscall("getpid", c.p.arch.Syscall.Getpid)
	return errors.Join(err, serr, c.SetRegisters(c.note, c.vector))
}
