// SPDX-License-Identifier: GPL-2.0-or-later

package ptrace

import (
	"time"

	"golang.org/x/sys/unix"
)

// Hurry makes the calling OS thread run as soon as it can, where that is
// allowed: while a process stands still for us, nothing else on the machine is
// to come first. It is for an OS thread that ends with its work.
func Hurry() { schedule(unix.SCHED_FIFO, 1) }

// relax gives others on the CPU their turn.
func relax() { schedule(unix.SCHED_NORMAL, 0) }

func schedule(policy, priority uint32) {
	// Without the right to it, a busy machine makes the process stand still for
	// longer, and that is all.
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: priority}, 0)
}

// Wait is the time between polls of threads that have not stopped yet. They may
// need the very CPU that we are on.
type Wait struct{ rounds int }

const (
	spins  = 2   // polls without a break: a thread on another CPU stops at once
	yields = 400 // polls with one, before sleeping in between
	nap    = 20 * time.Microsecond
)

// Rest passes the time until the next poll.
func (w *Wait) Rest() {
	w.rounds++
	switch {
	case w.rounds < spins:
		return
	case w.rounds == spins:
		relax()
	case w.rounds > yields:
		Sleep(nap)
	}
	_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
}

// End is to be called when all have stopped.
func (w *Wait) End() {
	if w.rounds >= spins {
		Hurry()
	}
}

// Sleep sleeps for a short while; the Go runtime's own sleep is too coarse.
func Sleep(d time.Duration) {
	t := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&t, nil)
}
