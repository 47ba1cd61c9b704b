// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier/ptrace"
)

// onOwnThread runs f on an OS thread of its own that ends with it. To the
// kernel the tracer is that thread, not our process: with its end everything
// that f left seized or stopped, by whatever mistake, runs on. While f runs the
// garbage collector does not.
func onOwnThread(f func() error) error {
	done := make(chan error)
	var tid int
	go ownThread(&tid, f, done)
	err := <-done
	// Whoever comes next must not find this one still tracing.
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(20 * time.Microsecond) {
		if unix.Tgkill(unix.Getpid(), tid, 0) != nil {
			break
		}
	}
	return err
}

func ownThread(tid *int, f func() error, done chan<- error) {
	runtime.LockOSThread() // and never unlocked: so the thread ends
	if *tid = unix.Gettid(); *tid == unix.Getpid() {
		// The main thread is the one that the runtime never ends. While it is
		// locked here, another is found.
		defer runtime.UnlockOSThread()
		other := make(chan error)
		go ownThread(tid, f, other)
		done <- <-other
		return
	}
	defer func() {
		if r := recover(); r != nil {
			done <- fmt.Errorf("internal error: %v\n%s", r, debug.Stack())
		}
	}()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	ptrace.Hurry()
	done <- f()
}
