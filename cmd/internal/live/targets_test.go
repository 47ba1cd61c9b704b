// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/ptrace"
	"github.com/ulpatch/ulpatch/format/hint"
)

// cycle applies and reverts once, and asks before, between and after.
func cycle(t *testing.T, v *Victim, f *Fixture) {
	t.Helper()
	wantVersion(t, v, 1)
	apply(t, v, f)
	wantVersion(t, v, 2)
	revert(t, v, f.Bundle.Manifest.ID)
	wantVersion(t, v, 1)
}

// TestBuilds patches the same program as different compilers and options make it.
func TestBuilds(t *testing.T) {
	own := peculiar(t)
	for _, r := range append([]flavour{
		{name: "pie"},
		{name: "no-pie", compile: []string{"-fno-pie"}, link: []string{"-no-pie"}},
		{name: "static", compile: []string{"-fno-pie"}, link: []string{"-static"}},
		{name: "static-pie", compile: []string{"-fPIE"}, link: []string{"-static-pie"}},
		{name: "O0", compile: []string{"-O0"}},
		{name: "O3", compile: []string{"-O3"}},
		{name: "Os", compile: []string{"-Os"}},
		{name: "no-plt", compile: []string{"-fno-plt"}},
		{name: "omit-frame-pointer", compile: []string{"-fomit-frame-pointer", "-fno-asynchronous-unwind-tables"}},
		{name: "lazy", link: []string{"-Wl,-z,lazy"}},
		{name: "now", link: []string{"-Wl,-z,relro,-z,now"}},
		{name: "clang", cc: "clang"},
		{name: "musl", cc: "musl-gcc", compile: append([]string{"-fPIE"}, own.musl...), link: []string{"-pie"}},
		{name: "musl-static", cc: "musl-gcc", link: []string{"-static", "-no-pie"}, compile: append([]string{"-fno-pie"}, own.musl...)},
	}, own.flavours...) {
		t.Run(r.name, func(t *testing.T) {
			f := build(t, Recipe{Source: "hammer", CC: r.cc, Compile: r.compile, Link: r.link})
			v := start(t, f, "hammer=2", "idle=2", "registers=1", "sleeper=1")
			if r.guarded {
				wantGuarded(t, v, f)
			}
			cycle(t, v, f)
			quit(t, v)
		})
	}
}

// wantGuarded wants the code of an image to be guarded, and the code of its patch.
func wantGuarded(t *testing.T, v *Victim, f *Fixture) {
	t.Helper()
	apply(t, v, f)
	guarded, err := proc.Flagged(v.PID, peculiar(t).flag)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{f.Image, "/memfd:ulpatch:"} {
		if !slices.ContainsFunc(guarded, func(m proc.Mapping) bool { return m.Executable() && strings.HasPrefix(m.Path, name) }) {
			t.Errorf("no code of %s is guarded: %+v", name, guarded)
		}
	}
	revert(t, v, f.Bundle.Manifest.ID)
}

// TestStrippedAndGone: nothing is read from the program's file.
func TestStrippedAndGone(t *testing.T) {
	f := build(t, Recipe{Source: "hammer", Strip: true})
	v := start(t, f, "hammer=1")
	if err := os.Remove(f.Program); err != nil {
		t.Fatal(err)
	}
	cycle(t, v, f)
	if err := os.WriteFile(f.Program, []byte("another program"), 0o755); err != nil {
		t.Fatal(err)
	}
	cycle(t, v, f)
	quit(t, v)
}

// TestNamespaces: a static program as another user, in its own mount, pid and
// network namespaces and a root directory without anything else in it.
func TestNamespaces(t *testing.T) {
	f := build(t, Recipe{Source: "hammer", Compile: []string{"-fno-pie"}, Link: []string{"-static"}})
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(f.Program, filepath.Join(root, "hammer")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/hammer", "hammer=1", "idle=1")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: root, Credential: &syscall.Credential{Uid: 65534, Gid: 65534},
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
	}
	v := startCommand(t, cmd)
	cycle(t, v, f)
	quit(t, v)
}

// TestHardened: filters that kill for any system call that the program does not
// make itself, and no writable memory may become executable.
func TestHardened(t *testing.T) {
	for _, mode := range []string{"kill", "errno", "mdwe"} {
		t.Run(mode, func(t *testing.T) {
			f := build(t, Recipe{Source: "hardened"})
			v := start(t, f, mode)
			for range 3 {
				cycle(t, v, f)
			}
			quit(t, v)
		})
	}
}

// TestStopped: a stopped process is patched and stays stopped, and its parent,
// which waits for it to stop and go on, sees nothing.
func TestStopped(t *testing.T) {
	f := build(t, Recipe{Source: "hammer"})
	v := start(t, f, "idle=2", "sleeper=1")
	if err := unix.Kill(v.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitState(t, v.PID, 'T')
	drainStops(t, v.PID)
	apply(t, v, f)
	waitState(t, v.PID, 'T')
	seesNothing(t, v.PID)
	if err := unix.Kill(v.PID, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	wantVersion(t, v, 2)
	drainStops(t, v.PID)
	revert(t, v, f.Bundle.Manifest.ID)
	seesNothing(t, v.PID)
	wantVersion(t, v, 1)
	quit(t, v)
}

func waitState(t *testing.T, pid int, want byte) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		tids, err := proc.Threads(pid)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, tid := range tids {
			if state, err := proc.ThreadState(pid, tid); err == nil && state == want {
				n++
			}
		}
		if n == len(tids) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d threads are in state %c", n, len(tids), want)
		}
		time.Sleep(time.Millisecond)
	}
}

// drainStops takes the changes of state that are the test's own doing.
func drainStops(t *testing.T, pid int) {
	t.Helper()
	var info unix.Siginfo
	for {
		info = unix.Siginfo{}
		if err := unix.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED|unix.WCONTINUED|unix.WNOHANG, nil); err != nil {
			t.Fatal(err)
		}
		if info.Code == 0 {
			return
		}
	}
}

func seesNothing(t *testing.T, pid int) {
	t.Helper()
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED|unix.WCONTINUED|unix.WNOHANG, nil); err != nil {
		t.Fatal(err)
	}
	if info.Code != 0 {
		t.Fatalf("the parent sees a change of state, code %d", info.Code)
	}
}

// TestTraced: a process that another program traces is refused, and untouched.
func TestTraced(t *testing.T) {
	f := build(t, Recipe{Source: "hammer"})
	v := start(t, f, "idle=1")
	traced, release := make(chan error), make(chan bool)
	go func() {
		// The thread that traces ends with this goroutine.
		lockOSThread()
		_, err := ptrace.Seize(v.PID)
		traced <- err
		<-release
	}()
	if err := <-traced; err != nil {
		t.Fatal(err)
	}
	_, err := applier.Apply(v.PID, f.Bundle, within(time.Second))
	var aerr *applier.Error
	if !errors.As(err, &aerr) || aerr.State == applier.Unknown || !strings.Contains(err.Error(), "is tracing the process") {
		t.Fatalf("%v", err)
	}
	release <- true
	waitUntraced(t, v.PID)
	cycle(t, v, f)
	quit(t, v)
}

func waitUntraced(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if s, err := proc.ReadStatus(pid); err == nil && s.Tracer == 0 {
			return
		}
	}
	t.Fatal("still traced")
}

// TestForeignBytes: code that is not the image's, as a debugger's breakpoint
// leaves it, is refused.
func TestForeignBytes(t *testing.T) {
	f := build(t, Recipe{Source: "hammer"})
	v := start(t, f, "idle=1")
	r, err := applier.Apply(v.PID, f.Bundle, applier.Options{DryRun: true})
	if err != nil || r.Status != applier.WouldApply {
		t.Fatalf("%v, %v", r, err)
	}
	wantVersion(t, v, 1)
	at := functionAddress(t, v.PID, f) + 40
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", v.PID), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	var old [1]byte
	if _, err := mem.ReadAt(old[:], at); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(v.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitState(t, v.PID, 'T')
	if _, err := mem.WriteAt([]byte{old[0] ^ 0xff}, at); err != nil {
		t.Fatal(err)
	}
	_, err = applier.Apply(v.PID, f.Bundle, patient)
	var aerr *applier.Error
	if !errors.Is(err, applier.ErrRefused) || !errors.As(err, &aerr) || aerr.State != applier.Untouched || len(hint.Of(err)) == 0 {
		t.Fatalf("%v", err)
	}
	if _, err := mem.WriteAt(old[:], at); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(v.PID, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	cycle(t, v, f)
	quit(t, v)
}

// functionAddress is where the patched function of a position-independent
// program is.
func functionAddress(t *testing.T, pid int, f *Fixture) int64 {
	t.Helper()
	maps, err := proc.ReadMaps(pid)
	if err != nil {
		t.Fatal(err)
	}
	table := tableOf(t, f)
	return int64(maps[0].Start) + int64(table.Functions[0].Addr)
}

// TestDeadMainThread: the main thread has ended, the others live.
func TestDeadMainThread(t *testing.T) {
	f := build(t, Recipe{Source: "odd"})
	v := start(t, f, "dead-main")
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if state, err := proc.ThreadState(v.PID, v.PID); err == nil && state == 'Z' {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the main thread lives")
		}
	}
	cycle(t, v, f)
	v.Kill()
}

// TestVfork: a thread that waits for a child of vfork cannot be stopped; the
// process is left alone, and patched afterwards.
func TestVfork(t *testing.T) {
	f := build(t, Recipe{Source: "odd"})
	v := start(t, f, "vfork")
	_, err := applier.Apply(v.PID, f.Bundle, within(500*time.Millisecond))
	if !errors.Is(err, applier.ErrBusy) {
		t.Fatalf("%v", err)
	}
	cycle(t, v, f)
	quit(t, v)
}

// TestNoMemory: no room for another mapping.
func TestNoMemory(t *testing.T) {
	f := build(t, Recipe{Source: "odd"})
	v := start(t, f, "no-memory")
	_, err := applier.Apply(v.PID, f.Bundle, patient)
	var aerr *applier.Error
	if !errors.Is(err, unix.ENOMEM) || !errors.As(err, &aerr) || aerr.State != applier.Restored {
		t.Fatalf("%v", err)
	}
	ask(t, v, "limit", "lifted")
	cycle(t, v, f)
	quit(t, v)
}

// TestStraddle: the entry's bytes lie on two pages.
func TestStraddle(t *testing.T) {
	const page = 0x500000 // a multiple of every size of pages
	own := peculiar(t)
	for _, on := range own.straddles {
		t.Run(fmt.Sprint(on), func(t *testing.T) {
			f := build(t, Recipe{
				Source: "hammer",
				Link:   []string{fmt.Sprintf("-Wl,--section-start=straddle=%#x", page-on), "-no-pie"},
				Compile: append([]string{"-fno-pie", `-DSECTION="straddle"`,
					"-falign-functions=1", "-falign-jumps=1", "-falign-loops=1", "-falign-labels=1"}, own.straddling...),
			})
			if at := int(tableOf(t, f).Functions[0].Addr); at != page-on {
				t.Fatalf("work is at %#x", at)
			}
			v := start(t, f, "hammer=2")
			cycle(t, v, f)
			quit(t, v)
		})
	}
}

// TestExit: the process ends while it is patched.
func TestExit(t *testing.T) {
	f := build(t, Recipe{Source: "hammer"})
	for range Scale(10) {
		v := start(t, f, "hammer=2")
		go func() {
			time.Sleep(rand.N(OperationTime()))
			_ = unix.Kill(v.PID, unix.SIGKILL)
		}()
		if _, err := applier.Apply(v.PID, f.Bundle, within(5*time.Second)); err != nil {
			t.Log(err) // it may or may not have been in time
		}
		v.Kill()
	}
}

// TestExec: what a process executes anew is not patched, and nothing is ever
// written to it that was meant for what it was before.
func TestExec(t *testing.T) {
	f := build(t, Recipe{Source: "odd"})
	v := start(t, f)
	apply(t, v, f)
	wantVersion(t, v, 2)
	ask(t, v, "exec", "ready")
	wantVersion(t, v, 1)
	wantPatches(t, v)

	stop, done := make(chan bool), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
				if got, err := v.Ask("exec"); err != nil || got != "ready" {
					done <- fmt.Errorf("exec: %q, %w", got, err)
					return
				}
			}
		}
	}()
	applied := 0
	for range Scale(12) {
		_, err := applier.Apply(v.PID, f.Bundle, within(5*time.Second))
		var aerr *applier.Error
		switch {
		case err == nil:
			applied++
		case !errors.As(err, &aerr):
			t.Errorf("%v", err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Logf("applied %d times", applied)
	ask(t, v, "exec", "ready")
	cycle(t, v, f)
	quit(t, v)
}

// TestUnproved patches a program with objects that were compiled anew with other
// flags than those that it was linked from. Clones of functions would be refused: what
// parameters they have shows nowhere.
func TestUnproved(t *testing.T) {
	f := build(t, Recipe{Source: "hammer", Compile: []string{"-fno-function-sections", "-fno-data-sections", "-fno-ipa-cp"},
		Rebuild: []string{"-ffunction-sections", "-fdata-sections", "-fno-stack-protector"}})
	if f.Result != nil && len(f.Result.Report.Images[0].Unproved) == 0 {
		t.Error("everything is proved")
	}
	v := start(t, f, everything...)
	cycle(t, v, f)
	quit(t, v)
}
