// SPDX-License-Identifier: GPL-2.0-or-later

package ptrace_test

import (
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier/ptrace"
)

// TestFault: a signal that somebody sends is no fault, whatever its number, and one
// that is dropped is not delivered.
func TestFault(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	th, err := ptrace.Seize(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(cmd.Process.Pid, unix.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	stop, err := poll(th)
	if err != nil || stop.Kind != ptrace.SignalStop || stop.Signal != unix.SIGSEGV {
		t.Fatalf("%+v, %v", stop, err)
	}
	if own, err := th.Fault(); own || err != nil {
		t.Errorf("a fault: %v, %v", own, err)
	}
	th.Drop()
	if err := th.Detach(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if err := unix.Kill(cmd.Process.Pid, 0); err != nil {
		t.Fatal(err)
	}
	if th, err := ptrace.Seize(cmd.Process.Pid); err != nil {
		t.Errorf("it has ended: %v", err)
	} else {
		stopNow(t, th)
		_ = th.Detach()
	}
}
