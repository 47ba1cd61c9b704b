// SPDX-License-Identifier: GPL-2.0-or-later

package ptrace_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier/internal/victim"
	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/ptrace"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/arch/amd64"
)

const ntPRStatus = 1

// points are where a tracer leaves a borrowed thread to itself.
var points = []string{"frame", "registers", "mask", "entry", "exit", "second entry"}

// A tracer of its own: a copy of the test that borrows a thread, stops at a
// point and is killed there.
func TestMain(m *testing.M) {
	if job := os.Getenv("ULPATCH_TEST_TRACER"); job != "" {
		word := strings.SplitN(job, " ", 3)
		pid, _ := strconv.Atoi(word[0])
		runtime.LockOSThread()
		if err := tracer(pid, word[1], word[2]); err != nil {
			fmt.Println(err)
		}
		os.Exit(1) // not reached where all goes well
	}
	os.Exit(m.Run())
}

func tracer(pid int, rounds, point string) error {
	if point == "signal" {
		return meetSignal(pid)
	}
	n, err := strconv.Atoi(rounds)
	if err != nil {
		return err
	}
	g, err := findGadgets(pid)
	if err != nil {
		return err
	}
	for ; n > 0; n-- {
		if _, err := abandon(pid, g, point); err != nil {
			return err
		}
	}
	return unix.Kill(unix.Getpid(), unix.SIGKILL)
}

// meetSignal waits for a signal to be delivered and dies with it in its hands.
func meetSignal(pid int) error {
	th, err := ptrace.Seize(pid)
	if err != nil {
		return err
	}
	fmt.Print("s")
	if stop, err := poll(th); err != nil || stop.Kind != ptrace.SignalStop {
		return fmt.Errorf("%+v, %w", stop, err)
	}
	return unix.Kill(unix.Getpid(), unix.SIGKILL)
}

type gadgets struct{ syscall, restorer arch.Addr }

func findGadgets(pid int) (g gadgets, err error) {
	maps, err := proc.ReadMaps(pid)
	if err != nil {
		return g, err
	}
	mem, err := ptrace.OpenMemory(pid)
	if err != nil {
		return g, err
	}
	defer mem.Close()
	for _, m := range module.Load(maps, mem) {
		if !strings.HasPrefix(m.Name(), "libc.so") {
			continue
		}
		for _, p := range m.Progs {
			code := make([]byte, p.Filesz)
			if p.Flags != 5 || mem.Read(m.Addr(p.Vaddr), code) != nil {
				continue
			}
			for _, pattern := range amd64.Arch.Syscall.Gadgets {
				if i := bytes.Index(code, pattern); i >= 0 {
					g.syscall = m.Addr(p.Vaddr + uint64(i))
				}
			}
			for _, pattern := range amd64.Arch.Syscall.Restorers {
				if i := bytes.Index(code, pattern); i >= 0 {
					g.restorer = m.Addr(p.Vaddr + uint64(i))
				}
			}
		}
	}
	if g.syscall == 0 || g.restorer == 0 {
		return g, fmt.Errorf("gadgets: %+v", g)
	}
	return g, nil
}

func poll(th *ptrace.Thread) (ptrace.Stop, error) {
	for end := time.Now().Add(victim.Patience); ; {
		stop, ok, err := th.Poll()
		if ok || err != nil {
			return stop, err
		}
		if time.Now().After(end) {
			return stop, fmt.Errorf("thread %d does not stop", th.TID)
		}
		time.Sleep(20 * time.Microsecond)
	}
}

// abandon borrows a thread as the applier does, up to a point, and returns
// without giving it back. It is stopped.
func abandon(tid int, g gadgets, point string) (*ptrace.Thread, error) {
	th, err := ptrace.Seize(tid)
	if err != nil {
		return nil, err
	}
	if err := th.Interrupt(); err != nil {
		return nil, err
	}
	stop, err := poll(th)
	if err != nil || stop.Kind != ptrace.TrapStop {
		return th, err // a signal is about to be delivered: nothing is borrowed
	}
	a := amd64.Arch
	set, err := th.Registers(ntPRStatus, make([]byte, a.Regs.Size))
	if err != nil {
		return nil, err
	}
	fp, err := th.Registers(a.SigFrame.FPRegset, make([]byte, a.SigFrame.FPSize))
	if err != nil {
		return nil, err
	}
	mask, err := th.SignalMask()
	if err != nil {
		return nil, err
	}
	mem, err := ptrace.OpenMemory(tid)
	if err != nil {
		return nil, err
	}
	defer mem.Close()

	le := binary.LittleEndian
	call := bytes.Clone(set)
	a.Syscall.Restart(set)
	top := arch.Addr(le.Uint64(set[a.Regs.SP:])) - arch.Addr(a.SigFrame.RedZone)
	frame, at, err := a.SigFrame.Build(top, set, fp, mask, g.restorer)
	if err != nil {
		return nil, err
	}
	if err := mem.Write(at, frame); err != nil {
		return nil, err
	}
	if point == "frame" {
		return th, nil
	}
	le.PutUint64(call[a.Regs.PC:], uint64(g.syscall))
	le.PutUint64(call[a.Regs.SP:], uint64(at))
	le.PutUint64(call[a.Syscall.Never:], ^uint64(0))
	le.PutUint64(call[a.Syscall.Number:], a.Syscall.Getpid)
	for _, arg := range a.Syscall.Args {
		le.PutUint64(call[arg:], 0x5555)
	}
	if err := th.SetRegisters(ntPRStatus, call); err != nil || point == "registers" {
		return th, err
	}
	if err := th.SetSignalMask(^uint64(0)); err != nil || point == "mask" {
		return th, err
	}
	for _, next := range []string{"entry", "exit"} {
		if err := th.Syscall(); err != nil {
			return nil, err
		}
		if stop, err := poll(th); err != nil || stop.Kind != ptrace.SyscallStop {
			return nil, fmt.Errorf("%s: %+v, %v", next, stop, err)
		}
		if point == next {
			return th, nil
		}
	}
	if err := th.SetRegisters(ntPRStatus, call); err != nil { // another call
		return nil, err
	}
	if err := th.Syscall(); err != nil {
		return nil, err
	}
	_, err = poll(th)
	return th, err
}

// program compiles the victim, once for all tests that run it.
func program(t testing.TB) string {
	return victim.Build(t, "victim.c regs.S", "-O1", "-pthread")
}

// watch is a running victim and its counters.
type watch struct {
	*victim.Process
	mem               *ptrace.Memory
	progress, handled arch.Addr
}

func start(t testing.TB, path, what string) *watch {
	t.Helper()
	w := &watch{Process: victim.Start(t, path, what)}
	if _, err := fmt.Sscanf(w.Line(), "%x %x", &w.progress, &w.handled); err != nil {
		t.Fatal(err)
	}
	live, err := proc.LiveThread(w.PID) // the main thread may end
	if err != nil {
		t.Fatal(err)
	}
	if w.mem, err = ptrace.OpenMemory(live); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.mem.Close() })
	return w
}

func (w *watch) word(at arch.Addr) uint64 {
	var buf [8]byte
	if w.mem.Read(at, buf[:]) != nil {
		return 0
	}
	return binary.LittleEndian.Uint64(buf[:])
}

// goesOn waits until the victim has gone through some more rounds.
func (w *watch) goesOn(t testing.TB, rounds uint64) {
	t.Helper()
	from := w.word(w.progress)
	victim.Await(t, "progress", func() bool {
		if how, ended := w.Ended(); ended {
			t.Fatalf("the victim has ended: %s, %s", how, w.Line())
		}
		return w.word(w.progress) >= from+rounds
	})
}

var activities = []string{
	"registers", "registers alarm", "spin", "clock", "read", "read alarm", "socket", "sleep", "abstime",
	"futex", "poll", "ppoll", "select", "epoll",
}

// TestAbandoned leaves borrowed threads to themselves at every point: each goes
// on as if nothing had happened.
func TestAbandoned(t *testing.T) {
	path := program(t)
	for _, what := range activities {
		t.Run(what, func(t *testing.T) {
			victim.Lock(t)
			w := start(t, path, what)
			w.goesOn(t, 2)
			g, err := findGadgets(w.PID)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 60 {
				point := points[i%len(points)]
				th, err := abandon(w.PID, g, point)
				if err != nil {
					t.Fatalf("%s: %v", point, err)
				}
				if err := th.Detach(); err != nil {
					t.Fatalf("%s: %v", point, err)
				}
				w.goesOn(t, 1)
			}
			w.goesOn(t, 2)
		})
	}
}

// TestKilled kills the tracer with SIGKILL at every point.
func TestKilled(t *testing.T) {
	path := program(t)
	for _, what := range []string{"registers alarm", "read alarm", "sleep", "poll"} {
		t.Run(what, func(t *testing.T) {
			w := start(t, path, what)
			w.goesOn(t, 2)
			for _, point := range points {
				for range 3 {
					cmd := exec.Command(os.Args[0])
					cmd.Env = append(os.Environ(), fmt.Sprintf("ULPATCH_TEST_TRACER=%d 1 %s", w.PID, point))
					out, err := cmd.CombinedOutput()
					if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
						t.Fatalf("%s: tracer: %v: %s", point, err, out)
					}
					w.goesOn(t, 1)
				}
			}
			w.goesOn(t, 2)
			status, err := proc.ReadStatus(w.PID)
			if err != nil || status.Tracer != 0 {
				t.Errorf("%+v, %v", status, err)
			}
		})
	}
}
