// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/ptrace"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format/hint"
)

// ntPRStatus is the note type of the general registers.
const ntPRStatus = 1

// thread is a thread of the target that we have seized.
type thread struct {
	*ptrace.Thread
	regs []byte          // while it is stopped
	last ptrace.StopKind // why it stopped
	top  arch.Addr       // the outermost frame that was found on its stack
	gone bool
}

// stopper stops all threads of a process. Its methods are called on one locked
// OS thread (see onOwnThread).
type stopper struct {
	pid     int
	arch    *arch.Arch
	threads []*thread
	known   map[int]*thread
	first   time.Time // when the first thread was asked to stop
}

func newStopper(pid int, a *arch.Arch) *stopper {
	return &stopper{pid: pid, arch: a, known: map[int]*thread{}}
}

var errDeadline = errors.New("not in time")

func gone(err error) bool { return errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ECHILD) }

// seize attaches to the threads that are not seized yet; they run on.
func (s *stopper) seize() (added []*thread, err error) {
	tids, err := proc.Threads(s.pid)
	if err != nil {
		return nil, err
	}
	for _, tid := range tids {
		if s.known[tid] != nil {
			continue
		}
		t, err := seizeThread(s.pid, tid)
		if err != nil {
			return nil, err
		}
		if t == nil {
			continue
		}
		t.regs = make([]byte, s.arch.Regs.Size)
		s.known[tid] = t
		s.threads = append(s.threads, t)
		added = append(added, t)
	}
	return added, nil
}

// seizeThread returns nil for a thread that has ended.
func seizeThread(pid, tid int) (*thread, error) {
	t, err := ptrace.Seize(tid)
	if err == nil {
		return &thread{Thread: t}, nil
	}
	if gone(err) {
		return nil, nil
	}
	if ended(pid, tid) {
		return nil, nil
	}
	return nil, explainSeize(pid, err)
}

// ended tells whether a thread is no more, or all but.
func ended(pid, tid int) bool {
	state, err := proc.ThreadState(pid, tid)
	return err != nil || state == 'Z' || state == 'X'
}

// explainSeize tells a tracer that is there already from a lack of rights.
func explainSeize(pid int, err error) error {
	status, serr := proc.ReadStatus(pid)
	if serr != nil || status.Tracer == 0 {
		return hint.With(err, "run as root, or as the process's user with kernel.yama.ptrace_scope at 0")
	}
	name := "another program"
	if tracer, terr := proc.ReadStatus(status.Tracer); terr == nil {
		name = tracer.Name
	}
	why := fmt.Errorf("%s (pid %d) is tracing the process: %w", name, status.Tracer, err)
	if self, serr := proc.ReadStatus(unix.Getpid()); serr == nil && self.Name == name {
		return fmt.Errorf("%w: %w", ErrBusy, why) // it will be gone in a moment
	}
	return hint.With(fmt.Errorf("%w: %w", ErrRefused, why), "detach it and try again")
}

// stopAll stops every thread, those too that come into being meanwhile, and
// reads their registers.
func (s *stopper) stopAll(deadline time.Time) error {
	if _, err := s.seize(); err != nil {
		return err
	}
	if len(s.threads) == 0 {
		return proc.ErrNoProcess
	}
	s.first = time.Now()
	pending := s.threads
	for {
		if err := s.stop(pending, deadline); err != nil {
			return err
		}
		// All that we know are stopped, so that none can start others. If they
		// are as many as there are, they are all.
		if n, err := proc.ThreadCount(s.pid); err == nil && n == s.alive() {
			return nil
		}
		var err error
		if pending, err = s.seize(); err != nil {
			return err
		}
		if len(pending) == 0 {
			if s.alive() == 0 {
				return proc.ErrNoProcess
			}
			return nil
		}
	}
}

func (s *stopper) alive() int {
	n := 0
	for _, t := range s.threads {
		if !t.gone {
			n++
		}
	}
	return n
}

// stop interrupts threads and waits until they have stopped.
func (s *stopper) stop(threads []*thread, deadline time.Time) error {
	for _, t := range threads {
		if err := t.Interrupt(); gone(err) {
			t.gone = true
		} else if err != nil {
			return err
		}
	}
	return s.await(threads, deadline)
}

// await waits until threads that were interrupted have stopped.
func (s *stopper) await(threads []*thread, deadline time.Time) error {
	var wait ptrace.Wait
	defer wait.End()
	for round := 0; ; round++ {
		var waiting *thread
		for _, t := range threads {
			if t.gone || t.Stopped() {
				continue
			}
			stop, ok, err := t.Poll()
			switch {
			case gone(err):
				t.gone = true
			case err != nil:
				return err
			case !ok:
				waiting = t
			case stop.Kind == ptrace.Exit:
				t.gone = true
			default:
				t.last = stop.Kind
				if err := s.readRegs(t); err != nil {
					return err
				}
			}
		}
		if waiting == nil {
			return nil
		}
		if round%16 == 15 && time.Now().After(deadline) {
			state, _ := proc.ThreadState(s.pid, waiting.TID)
			return fmt.Errorf("%w: thread %d does not stop (state %c): %w", ErrBusy, waiting.TID, state, errDeadline)
		}
		wait.Rest()
	}
}

func (s *stopper) readRegs(t *thread) error {
	_, err := t.Registers(ntPRStatus, t.regs)
	if gone(err) {
		t.gone = true
		return nil
	}
	return err
}

// release lets all threads go. What cannot be let go here, because it never
// stopped, is let go by the kernel when our OS thread ends.
func (s *stopper) release() {
	for _, t := range s.threads {
		if !t.gone && t.Stopped() {
			_ = t.Detach() // it has ended, or the end of our OS thread does it
		}
	}
	s.threads, s.known = nil, map[int]*thread{}
}
