// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// onOwnThread runs f on an OS thread of its own that ends with it. To the
// kernel the tracer is that thread, not our process: with its end everything
// that f left seized or stopped, by whatever mistake, runs on. While f runs the
// garbage collector does not.
func onOwnThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: so the thread ends
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("internal error: %v\n%s", r, debug.Stack())
			}
		}()
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
		done <- f()
	}()
	return <-done
}

// yield lets other threads have this CPU: those that we wait for, first of all.
func yield() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
