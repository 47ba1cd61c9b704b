// SPDX-License-Identifier: GPL-2.0-or-later

// Package victim compiles and runs the programs that the applier's tests work
// on. It is for tests only: what goes wrong fails the test.
package victim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier/proc"
)

// Patience is how long a test waits for something that takes microseconds on an
// idle machine.
const Patience = 30 * time.Second

// packages say what to install where a compiler is missing (Debian's names).
var packages = map[string]string{"gcc": "gcc libc6-dev", "musl-gcc": "musl-tools", "ld": "binutils", "as": "binutils", "readelf": "binutils"}

// Build compiles testdata/SOURCE (several, if separated by spaces) with gcc and
// returns the program's or library's path.
func Build(t testing.TB, source string, flags ...string) string {
	t.Helper()
	return BuildWith(t, "gcc", source, flags...)
}

// BuildWith is Build with another compiler driver.
func BuildWith(t testing.TB, compiler, source string, flags ...string) string {
	t.Helper()
	first, _, _ := strings.Cut(source, " ")
	out := filepath.Join(t.TempDir(), strings.TrimSuffix(first, filepath.Ext(first)))
	return BuildAs(t, out, compiler, source, flags...)
}

// BuildAs is BuildWith with a file to write.
func BuildAs(t testing.TB, out, compiler, source string, flags ...string) string {
	t.Helper()
	args := []string{"-g", "-o", out}
	for _, s := range strings.Fields(source) {
		args = append(args, filepath.Join("testdata", s))
	}
	Run(t, compiler, append(args, flags...)...)
	return out
}

// Run runs a tool and returns its output.
func Run(t testing.TB, tool string, args ...string) string {
	t.Helper()
	out, err := exec.Command(tool, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%v: install %s (or run \"make setup\")", err, packages[tool])
	}
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", tool, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Process is a running victim. It ends with the test.
type Process struct {
	*exec.Cmd
	PID   int
	t     testing.TB
	lines chan string
	stdin io.Writer
	ended chan struct{}
}

// Start runs a program.
func Start(t testing.TB, path string, args ...string) *Process {
	t.Helper()
	return StartCmd(t, exec.Command(path, args...))
}

// StartCmd runs a command whose output nobody reads yet.
func StartCmd(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // should the test be killed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Process{Cmd: cmd, PID: cmd.Process.Pid, t: t, lines: make(chan string, 1<<16), stdin: stdin, ended: make(chan struct{})}
	go func() {
		for s := bufio.NewScanner(stdout); s.Scan(); {
			p.lines <- s.Text()
		}
		close(p.lines)
		_ = cmd.Wait() // its end is told by ProcessState
		close(p.ended)
	}()
	t.Cleanup(p.Kill)
	return p
}

// Kill ends the victim and waits until it has. Threads that are seized on the
// OS thread of the caller are reaped.
func (p *Process) Kill() {
	_ = p.Process.Kill() // it may have ended
	pid := p.Process.Pid
	for {
		select {
		case <-p.ended:
			return
		case <-time.After(time.Millisecond):
		}
		tids, _ := proc.Threads(pid)
		for _, tid := range tids {
			if tid != pid {
				_, _ = unix.Wait4(tid, nil, unix.WALL|unix.WNOHANG, nil)
			}
		}
	}
}

// Line is the next line that the victim prints.
func (p *Process) Line() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			<-p.ended
			p.t.Fatalf("%s has ended: %v", p.Path, p.ProcessState)
		}
		return line
	case <-time.After(Patience):
		p.t.Fatalf("%s says nothing", p.Path)
	}
	return ""
}

// Lines are the lines that the victim prints, up to "end".
func (p *Process) Lines() []string {
	p.t.Helper()
	var lines []string
	for {
		line := p.Line()
		if line == "end" {
			return lines
		}
		lines = append(lines, line)
	}
}

// Say sends the victim a line.
func (p *Process) Say(line string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.stdin, line); err != nil {
		p.t.Fatal(err)
	}
}

// Ended tells whether the victim has ended, and how.
func (p *Process) Ended() (how string, ended bool) {
	select {
	case <-p.ended:
		return p.ProcessState.String(), true
	default:
		return "", false
	}
}

// Await waits until a condition holds.
func Await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// Lock keeps the test on its OS thread, as ptrace wants it.
func Lock(t testing.TB) {
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
}
