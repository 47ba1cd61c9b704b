// SPDX-License-Identifier: GPL-2.0-or-later

package ptrace_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier/internal/victim"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/ptrace"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/arch/amd64"
)

func seizeAll(t *testing.T, pid int) []*ptrace.Thread {
	t.Helper()
	tids, err := proc.Threads(pid)
	if err != nil {
		t.Fatal(err)
	}
	var threads []*ptrace.Thread
	for _, tid := range tids {
		th, err := ptrace.Seize(tid)
		if err != nil {
			t.Fatal(err)
		}
		threads = append(threads, th)
	}
	return threads
}

func stopNow(t *testing.T, th *ptrace.Thread) ptrace.Stop {
	t.Helper()
	if err := th.Interrupt(); err != nil {
		t.Fatal(err)
	}
	stop, err := poll(th)
	if err != nil {
		t.Fatal(err)
	}
	return stop
}

func TestThreads(t *testing.T) {
	victim.Lock(t)
	w := start(t, program(t), "threads")
	w.goesOn(t, 10)
	victim.Await(t, "9 threads", func() bool { n, _ := proc.ThreadCount(w.PID); return n == 9 })
	threads := seizeAll(t, w.PID)
	for _, th := range threads {
		if th.Stopped() {
			t.Error("stopped by being seized")
		}
		if stop := stopNow(t, th); stop.Kind != ptrace.TrapStop || !th.Stopped() {
			t.Errorf("%+v", stop)
		}
		set, err := th.Registers(ntPRStatus, make([]byte, 4096))
		if err != nil || len(set) != amd64.Arch.Regs.Size {
			t.Errorf("%d bytes of registers, %v", len(set), err)
		}
		if err := th.SetRegisters(ntPRStatus, set); err != nil {
			t.Error(err)
		}
		if mask, err := th.SignalMask(); err != nil || mask&(1<<(unix.SIGUSR2-1)) == 0 {
			t.Errorf("mask %#x, %v", mask, err)
		}
	}
	before := w.word(w.progress)
	time.Sleep(5 * time.Millisecond)
	if w.word(w.progress) != before {
		t.Error("it runs while all threads are stopped")
	}
	for i, th := range threads {
		if err := th.Resume(); err != nil || th.Stopped() {
			t.Error(err)
		}
		if i%2 == 0 {
			stopNow(t, th)
			if err := th.Detach(); err != nil {
				t.Error(err)
			}
		}
	}
	w.goesOn(t, 10)
	if _, err := ptrace.Seize(threads[1].TID); !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "ptrace: seize: tid") {
		t.Errorf("a thread that is traced was seized: %v", err)
	}
}

// TestThreadExit: the end of a seized thread is told, and hurts nobody.
func TestThreadExit(t *testing.T) {
	victim.Lock(t)
	w := start(t, program(t), "churn")
	w.goesOn(t, 10)
	exits := 0
	for end := time.Now().Add(victim.Patience); exits < 5 && time.Now().Before(end); {
		tids, err := proc.Threads(w.PID)
		if err != nil {
			t.Fatal(err)
		}
		for _, tid := range tids {
			if tid == w.PID {
				continue
			}
			th, err := ptrace.Seize(tid)
			if err != nil {
				continue // it has ended
			}
			stop, err := poll(th)
			if err != nil || stop.Kind != ptrace.Exit || stop.Status != 0 || th.Stopped() {
				t.Fatalf("%+v, %v", stop, err)
			}
			exits++
		}
	}
	if exits < 5 {
		t.Error("no thread was caught")
	}
	w.goesOn(t, 10)

	th, err := ptrace.Seize(w.PID)
	if err != nil {
		t.Fatal(err)
	}
	stopNow(t, th)
	if err := unix.Kill(w.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	victim.Await(t, "its end", func() bool {
		_, err := th.Registers(ntPRStatus, make([]byte, 4096))
		return errors.Is(err, unix.ESRCH)
	})
}

// TestMainThreadEnded: a process whose main thread has ended is traced and read
// through another.
func TestMainThreadEnded(t *testing.T) {
	victim.Lock(t)
	w := start(t, program(t), "mainless")
	victim.Await(t, "end of the main thread", func() bool {
		state, err := proc.ThreadState(w.PID, w.PID)
		return err == nil && state == 'Z'
	})
	tid, err := proc.LiveThread(w.PID)
	if err != nil || tid == w.PID {
		t.Fatalf("live thread %d of %d, %v", tid, w.PID, err)
	}
	th, err := ptrace.Seize(tid)
	if err != nil {
		t.Fatal(err)
	}
	if stop := stopNow(t, th); stop.Kind != ptrace.TrapStop {
		how, _ := w.Ended()
		t.Fatalf("%+v %s", stop, how)
	}
	mem, err := ptrace.OpenMemory(tid)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	if err := mem.Read(w.progress, make([]byte, 8)); err != nil {
		t.Error(err)
	}
	if err := th.Detach(); err != nil {
		t.Error(err)
	}
}

// TestSignals: a thread that is about to get a signal gets it, once, whether the
// tracer lets it go or is killed.
func TestSignals(t *testing.T) {
	path := program(t)
	queue := func(w *watch, n int) {
		for range n {
			if err := unix.Kill(w.PID, unix.Signal(35)); err != nil { // SIGRTMIN + 1: queued
				t.Fatal(err)
			}
		}
	}
	const each = 5
	for _, end := range []string{"detach", "resume", "kill"} {
		t.Run(end, func(t *testing.T) {
			victim.Lock(t)
			w := start(t, path, "read")
			w.goesOn(t, 1)
			want := uint64(0)
			for range 10 {
				want += each
				switch end {
				case "kill":
					cmd := exec.Command(os.Args[0])
					cmd.Env = append(os.Environ(), fmt.Sprintf("ULPATCH_TEST_TRACER=%d 1 signal", w.PID))
					out, err := cmd.StdoutPipe()
					if err != nil {
						t.Fatal(err)
					}
					if err := cmd.Start(); err != nil {
						t.Fatal(err)
					}
					if _, err := io.ReadFull(out, make([]byte, 1)); err != nil { // it has seized
						t.Fatal(err)
					}
					queue(w, each)
					_ = cmd.Wait() // killed
				default:
					th, err := ptrace.Seize(w.PID)
					if err != nil {
						t.Fatal(err)
					}
					queue(w, each)
					stop, err := poll(th)
					if err != nil || stop.Kind != ptrace.SignalStop || stop.Signal != 35 {
						t.Fatalf("%+v, %v", stop, err)
					}
					if end == "resume" {
						for ; err == nil && stop.Kind == ptrace.SignalStop; stop, err = poll(th) {
							if err := th.Resume(); err != nil {
								t.Fatal(err)
							}
							if err := th.Interrupt(); err != nil {
								t.Fatal(err)
							}
						}
					}
					if err := th.Detach(); err != nil {
						t.Fatal(err)
					}
				}
				victim.Await(t, "all signals", func() bool { return w.word(w.handled) >= want })
			}
			w.goesOn(t, 5)
			if got := w.word(w.handled); got != want {
				t.Errorf("%d signals were handled, %d were sent", got, want)
			}
		})
	}
}

// TestStopped: a stopped process stays stopped, and its parent sees nothing of
// what a tracer does.
func TestStopped(t *testing.T) {
	victim.Lock(t)
	parent := victim.Start(t, victim.Build(t, "parent.c"), program(t), "spin")
	w := &watch{Process: parent}
	for range 2 { // parent and child print, in any order
		line := parent.Line()
		if n, _ := fmt.Sscanf(line, "child %d", &w.PID); n == 1 {
			continue
		}
		if _, err := fmt.Sscanf(line, "%x", &w.progress); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	var err error
	if w.mem, err = ptrace.OpenMemory(w.PID); err != nil {
		t.Fatal(err)
	}
	defer w.mem.Close()
	g, err := findGadgets(w.PID)
	if err != nil {
		t.Fatal(err)
	}
	visit := func(want ptrace.StopKind) {
		t.Helper()
		th, err := ptrace.Seize(w.PID)
		if err != nil {
			t.Fatal(err)
		}
		if stop := stopNow(t, th); stop.Kind != want {
			t.Fatalf("%+v", stop)
		}
		if err := th.Detach(); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		visit(ptrace.TrapStop)
		for _, point := range points {
			th, err := abandon(w.PID, g, point)
			if err != nil {
				t.Fatal(err)
			}
			if err := th.Detach(); err != nil {
				t.Fatal(err)
			}
			w.goesOn(t, 1)
		}
	}
	signal := func(sig unix.Signal, seen string) {
		t.Helper()
		if err := unix.Kill(w.PID, sig); err != nil {
			t.Fatal(err)
		}
		if line := parent.Line(); line != seen {
			t.Fatalf("the parent saw %q, not %q", line, seen)
		}
	}
	signal(unix.SIGSTOP, "stopped")
	before := w.word(w.progress)
	for range 10 {
		visit(ptrace.GroupStop)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("ULPATCH_TEST_TRACER=%d 1 frame", w.PID))
		if out, err := cmd.CombinedOutput(); err == nil || len(out) > 0 {
			t.Fatalf("tracer: %v: %s", err, out)
		}
	}
	// The kernel wakes it when its tracer dies, to stop on its own.
	victim.Await(t, "the process is stopped", func() bool {
		state, err := proc.ThreadState(w.PID, w.PID)
		if err != nil {
			t.Fatal(err)
		}
		return state == 'T'
	})
	if w.word(w.progress) != before {
		t.Error("it went on although it was stopped")
	}
	signal(unix.SIGCONT, "continued")
	w.goesOn(t, 10)
	visit(ptrace.TrapStop)
	signal(unix.SIGKILL, "killed")
	if line := parent.Line(); line != "end" {
		t.Errorf("the parent saw %q", line)
	}
}

func TestMemory(t *testing.T) {
	w := start(t, program(t), "spin")
	page := make([]byte, 4096)
	for _, at := range []uint64{0, 4096, 1 << 62, ^uint64(0) - 4095} {
		if err := w.mem.Read(arch.Addr(at), page); err == nil {
			t.Errorf("read at %#x", at)
		}
		if n, err := w.mem.ReadSome(arch.Addr(at), page); err == nil || n != 0 {
			t.Errorf("read %d bytes at %#x, %v", n, at, err)
		}
		if err := w.mem.Write(arch.Addr(at), page); err == nil {
			t.Errorf("wrote at %#x", at)
		}
	}
	maps, err := proc.ReadMaps(w.PID)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range maps[:len(maps)-1] {
		if maps[i+1].Start == m.End || m.Path == "[stack]" {
			continue
		}
		n, err := w.mem.ReadSome(m.End-100, page)
		if err != nil || n != 100 {
			t.Errorf("%d bytes before the end of %+v, %v", n, m, err)
		}
		if err := w.mem.Read(m.End-100, page); err == nil {
			t.Errorf("read past the end of %+v", m)
		}
		return
	}
	t.Error("no mapping has an end")
}

func TestSeizeFails(t *testing.T) {
	victim.Lock(t)
	var failed *ptrace.Error
	if _, err := ptrace.Seize(1 << 22); !errors.As(err, &failed) || !errors.Is(err, unix.ESRCH) {
		t.Errorf("%v", err)
	}
	if want := "ptrace: seize: tid 4194304: no such process"; failed.Error() != want {
		t.Errorf("%q", failed.Error())
	}
}
