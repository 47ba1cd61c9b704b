// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/ptrace"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format/hint"
)

// borrowed is a thread that makes system calls for us. It needs nothing from
// us to come back: below its stack stands a signal frame, and every gadget that
// it runs returns into rt_sigreturn, which reads that frame. Should we die, it
// restores itself; while we live, giveBack does it.
type borrowed struct {
	*thread
	p       *process
	g       gadgets
	regs    []byte // as it was borrowed
	rewound []byte // where its system call was cut short: what makes it again, see reenter
	vectors []byte // to be written back, since a system call does not keep them
	mask    uint64
	frame   arch.Addr
	scratch arch.Addr // bytes for arguments, below the frame
	low     arch.Addr // start of what was overwritten
	saved   []byte    // what was there
	call    []byte    // registers of a system call
	seccomp bool      // filters are suspended
	left    bool      // to a function that has not returned: it comes back by itself
	stopper *stopper
	since   time.Time
	step    func(string)
}

const (
	scratchSize   = 256                    // bytes
	borrowTimeout = 100 * time.Millisecond // to stop a thread; then another is tried
	// A thread that was borrowed is waited for: it comes as soon as it has a CPU,
	// and no other thread is held up meanwhile.
	heldTimeout = 30 * time.Second
	allSignals  = ^uint64(0)
)

var errUnfit = errors.New("cannot be borrowed")

// borrow stops one thread of a process and prepares it. The process's other
// threads run on.
func borrow(p *process, g gadgets, step func(string)) (*borrowed, error) {
	tids, err := proc.Threads(p.id.PID)
	if err != nil {
		return nil, err
	}
	// The main thread has a stack of the kernel's making; of the others, those
	// that sleep lose nothing.
	sort.SliceStable(tids, func(i, j int) bool { return tids[i] == p.id.PID && tids[j] != p.id.PID })
	err = errUnfit
	for _, tid := range tids[:min(len(tids), 16)] {
		b, berr := borrowThread(p, g, tid, step)
		if berr == nil && b != nil {
			return b, nil
		}
		if berr != nil {
			err = berr
			if !errors.Is(berr, errUnfit) && !errors.Is(berr, errDeadline) {
				return nil, berr
			}
		}
	}
	return nil, fmt.Errorf("%w: no thread could be borrowed: %w", ErrBusy, err)
}

func borrowThread(p *process, g gadgets, tid int, step func(string)) (b *borrowed, err error) {
	t, err := seizeThread(p.id.PID, tid)
	if t == nil {
		return nil, err
	}
	t.regs = make([]byte, p.arch.Regs.Size)
	s := newStopper(p.id.PID, p.arch)
	s.threads, s.known[tid] = []*thread{t}, t
	b = &borrowed{thread: t, p: p, g: g, stopper: s, since: time.Now(), step: step}
	if err := s.stop(s.threads, b.since.Add(borrowTimeout)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	if t.gone || t.last == ptrace.SignalStop {
		// A signal is in its hands: another thread will do.
		return nil, fmt.Errorf("thread %d %w now", tid, errUnfit)
	}
	if err := b.learn(); err != nil {
		return nil, err
	}
	if err := b.leaveSequence(); err != nil {
		return nil, err
	}
	if err := b.reenter(); err != nil {
		return nil, err
	}
	if err := b.prepare(); err != nil {
		return nil, err
	}
	return b, nil
}

// learn reads what only a thread that is stopped tells of its process.
func (b *borrowed) learn() error {
	a := b.p.arch
	if a.Regs.ShadowRegset != 0 {
		set, err := b.Registers(a.Regs.ShadowRegset, make([]byte, 64))
		if err == nil && len(set) >= 8 && set[0]&1 != 0 {
			return refused("thread %d has a shadow stack, which a borrowed thread would violate", b.TID)
		}
	}
	return b.p.readMasks(b.thread)
}

// prepare writes the signal frame and puts the thread in front of a harmless
// system call. The order matters: whenever we die, what the thread does next is
// right. Before the registers are set the frame is only bytes below its stack.
func (b *borrowed) prepare() error {
	a := b.p.arch
	if b.regs == nil {
		b.regs = bytes.Clone(b.thread.regs)
	}
	if b.g.room != 0 && !b.g.waiting && b.inTimedWait() {
		return fmt.Errorf("thread %d %w: it waits, with a time-out that a system call would disturb", b.TID, errUnfit)
	}
	fp, err := b.vectorState(a)
	if err != nil {
		return err
	}
	if a.SigFrame.Volatile != nil && a.SigFrame.Volatile(fp) {
		b.vectors = fp
	}
	if b.mask, err = b.SignalMask(); err != nil {
		return err
	}
	if b.p.status.Seccomp != 0 {
		if err := b.SuspendSeccomp(true); err != nil {
			return hint.With(refused("thread %d has a seccomp filter, which cannot be suspended: %v", b.TID, err),
				"it takes CAP_SYS_ADMIN, a kernel with CONFIG_CHECKPOINT_RESTORE, and no seccomp filter on this program")
		}
		b.seccomp = true
	}
	sp := arch.Addr(binary.LittleEndian.Uint64(b.regs[a.Regs.SP:]))
	resumed := bytes.Clone(b.regs)
	if b.rewound != nil {
		resumed = bytes.Clone(b.rewound)
	}
	if b.rewound != nil || !a.Syscall.Rewound {
		a.Syscall.Restart(resumed)
	}
	frame, at, err := a.SigFrame.Build(sp-arch.Addr(a.SigFrame.RedZone), resumed, fp, b.mask, b.g.restorer)
	if errors.Is(err, arch.ErrUnfit) {
		return fmt.Errorf("thread %d %w: %w", b.TID, errUnfit, err)
	}
	if err != nil {
		return err
	}
	b.frame, b.scratch = at, (at-scratchSize)&^15
	b.low = b.scratch
	if err := b.roomBelow(sp); err != nil {
		return err
	}
	b.saved = make([]byte, at+arch.Addr(len(frame))-b.low)
	if err := b.p.mem.Read(b.low, b.saved); err != nil {
		return err
	}
	b.step("borrow:stopped")
	if err := b.p.mem.Write(at, frame); err != nil {
		return err
	}
	b.step("borrow:frame")
	b.call = bytes.Clone(b.regs)
	a.SigFrame.Enter(b.call, b.g.restorer)
	if err := b.setCall(a.Syscall.Getpid); err != nil {
		return err
	}
	// Not before: a call that was cut short is made again only if it has a number.
	if err := b.inNoCall(); err != nil {
		return err
	}
	b.step("borrow:registers")
	// Blocked, signals wait; the frame holds the mask as it was.
	return b.SetSignalMask(allSignals)
}

// roomBelow makes sure that what lies below a stack pointer is that stack's, and
// not another object of the heap that a small stack was allocated from: the
// thread has to be on the stack that it was started with, which the kernel made
// or which holds its thread-control block.
func (b *borrowed) roomBelow(sp arch.Addr) error {
	stack, ok := b.p.maps.Find(sp - 1)
	own := stack.Path == "[stack]"
	room := b.g.room
	if own {
		room = 0 // it grows
	}
	if !ok || !stack.Writable() || stack.Shared() || b.low < stack.Start+room {
		return fmt.Errorf("thread %d %w: too little stack below %#x", b.TID, errUnfit, uint64(sp))
	}
	if tp, ok := b.pointer(b.p.arch); ok && stack.Path != "[heap]" && stack.End-stack.Start <= largeStack {
		own = own || stack.Contains(tp)
	}
	if !own {
		return fmt.Errorf("thread %d %w: it is not on the stack that it was started with", b.TID, errUnfit)
	}
	return nil
}

func (b *borrowed) setCall(nr uint64, args ...uint64) error {
	a := b.p.arch
	le := binary.LittleEndian
	le.PutUint64(b.call[a.Regs.PC:], uint64(b.g.syscall))
	le.PutUint64(b.call[a.Regs.SP:], uint64(b.frame))
	if a.Syscall.Never >= 0 {
		le.PutUint64(b.call[a.Syscall.Never:], ^uint64(0))
	}
	for i, off := range a.Syscall.Args {
		var arg uint64
		if i < len(args) {
			arg = args[i]
		}
		le.PutUint64(b.call[off:], arg)
	}
	le.PutUint64(b.call[a.Syscall.Number:], nr)
	return b.SetRegisters(ntPRStatus, b.call)
}

// inNoCall makes the kernel forget which system call the thread is in, where
// that is not told by a register: what stands in the registers of a call to come
// must not be taken for the result of one.
func (b *borrowed) inNoCall() error {
	set := b.p.arch.Syscall.NumberRegset
	if set == 0 {
		return nil
	}
	return b.SetRegisters(set, []byte{0xff, 0xff, 0xff, 0xff})
}

// syscall lets the thread make a system call and returns its result.
func (b *borrowed) syscall(name string, nr uint64, args ...uint64) (uint64, error) {
	if err := b.inNoCall(); err != nil {
		return 0, err
	}
	if err := b.setCall(nr, args...); err != nil {
		return 0, err
	}
	for _, at := range []string{"entry", "exit"} {
		if err := b.Syscall(); err != nil {
			return 0, err
		}
		if err := b.awaitSyscall(); err != nil {
			return 0, fmt.Errorf("%s: %s: %w", name, at, err)
		}
	}
	b.step("borrow:" + name)
	if err := b.stopper.readRegs(b.thread); err != nil {
		return 0, err
	}
	result := int64(binary.LittleEndian.Uint64(b.thread.regs[b.p.arch.Syscall.Result:]))
	const maxErrno = 4095
	if result < 0 && result >= -maxErrno {
		return 0, fmt.Errorf("%s in the process: %w", name, unix.Errno(-result))
	}
	return uint64(result), nil
}

func (b *borrowed) awaitSyscall() error {
	deadline := time.Now().Add(heldTimeout)
	var wait ptrace.Wait
	defer wait.End()
	for round := 0; ; round++ {
		stop, ok, err := b.Poll()
		switch {
		case err != nil:
			return err
		case ok && stop.Kind == ptrace.SyscallStop:
			b.last = stop.Kind
			return nil
		case ok && stop.Kind == ptrace.Exit:
			b.gone = true
			return proc.ErrNoProcess
		case ok:
			// The process is being stopped (SIGSTOP cannot be blocked); it will
			// be once we let go.
			if err := b.Syscall(); err != nil {
				return err
			}
		case round%64 == 63 && time.Now().After(deadline):
			return errDeadline
		}
		if !ok {
			wait.Rest()
		}
	}
}

// giveBack makes the thread what it was and lets it go. It runs through the
// same kind of stop that it was borrowed in, so that the kernel restarts the
// system call that it was in, or returns EINTR from it, as it always would.
func (b *borrowed) giveBack() error {
	err := b.restore()
	b.stopper.release()
	return err
}

func (b *borrowed) restore() error {
	if b.gone {
		return proc.ErrNoProcess
	}
	if b.left {
		return nil
	}
	if !b.Stopped() {
		return fmt.Errorf("thread %d runs: %w", b.TID, errDeadline)
	}
	if err := b.giveArgument(); err != nil {
		return err
	}
	if err := b.Interrupt(); err != nil {
		return err
	}
	if err := b.SetSignalMask(b.mask); err != nil {
		return err
	}
	if b.vectors != nil {
		if err := b.SetRegisters(b.p.arch.SigFrame.WideFPRegset, b.vectors); err != nil {
			return err
		}
	}
	if b.rewound == nil {
		if err := b.inNoCall(); err != nil {
			return err
		}
	}
	if err := b.SetRegisters(ntPRStatus, b.regs); err != nil {
		return err
	}
	b.step("borrow:restored")
	if b.seccomp {
		if err := b.SuspendSeccomp(false); err != nil {
			return err
		}
	}
	if err := b.p.mem.Write(b.low, b.saved); err != nil {
		return err
	}
	if b.last != ptrace.SyscallStop {
		return nil // no system call was made: it still is in its first stop
	}
	if err := b.Resume(); err != nil {
		return err
	}
	if err := b.stopper.await([]*thread{b.thread}, time.Now().Add(heldTimeout)); err != nil {
		return fmt.Errorf("give back thread %d: %s", b.TID, err.Error()) // not ErrBusy: it made its calls
	}
	return nil
}
