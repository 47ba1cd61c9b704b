// SPDX-License-Identifier: GPL-2.0-or-later

package vm

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Machine is what is booted.
type Machine struct {
	CPU     *CPU
	Memory  int           // MiB
	Count   int           // processors
	Timeout time.Duration // for all of it, the boot included
	Output  io.Writer     // of the program, as it comes
	Log     io.Writer     // the kernel's and the emulator's words
	Verbose bool          // let the kernel say all
}

// Program is what a machine runs.
type Program struct {
	Files [][2]string // from the host: its name there, its absolute name here
	Job   Job         // without its word; the program is one of Files
}

var (
	// ErrTimeout: the machine did not end in time.
	ErrTimeout = errors.New("time is up")
	// ErrMachine: the machine ended in another way than init ends it.
	ErrMachine = errors.New("the machine failed")
)

// Run boots, runs a program, and returns its exit status. That is an error only
// where there is none.
func (m Machine) Run(ctx context.Context, p Program) (int, error) {
	kernel, err := FetchKernel(ctx, m.CPU, m.Log)
	if err != nil {
		return 0, err
	}
	emulator, err := m.CPU.emulator(ctx, m.Log)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "vm")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	p.Job.Word = rand.Text()
	initrd := filepath.Join(dir, "initrd")
	if err := m.pack(ctx, p, dir, initrd); err != nil {
		return 0, err
	}
	var rest bytes.Buffer
	receiver := NewReceiver(m.Output, &rest, p.Job.Word)
	err = m.boot(ctx, emulator, kernel.Image, initrd, receiver)
	status := 0
	if err == nil {
		status, err = receiver.Status()
	}
	if err != nil || m.Verbose {
		_, _ = rest.WriteTo(m.Log)
	}
	return status, err
}

// pack makes the initramfs.
func (m Machine) pack(ctx context.Context, p Program, dir, initrd string) error {
	libraries, err := m.CPU.Libraries(ctx, m.Log)
	if err != nil {
		return err
	}
	a := NewArchive(libraries)
	init := filepath.Join(dir, "init")
	if err := BuildStatic(ctx, m.CPU, "github.com/ulpatch/ulpatch/cmd/vm/init", init); err != nil {
		return err
	}
	if err := a.File(init, "/init"); err != nil {
		return err
	}
	a.Dir("/tmp")
	for _, f := range p.Files {
		if !path.IsAbs(f[1]) {
			return fmt.Errorf("%s: not an absolute name", f[1])
		}
		if err := a.File(f[0], f[1]); err != nil {
			return err
		}
	}
	if p.Job.Dir != "" {
		a.Dir(p.Job.Dir)
	}
	job, err := json.Marshal(p.Job)
	if err != nil {
		return err
	}
	a.Data(JobFile, 0o600, job)
	out, err := os.Create(initrd)
	if err != nil {
		return err
	}
	_, err = a.WriteTo(out)
	return errors.Join(err, out.Close())
}

// BuildStatic compiles a Go package of this module for a CPU. It runs in a folder
// of the module.
func BuildStatic(ctx context.Context, cpu *CPU, pkg, output string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", output, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+cpu.Name)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s for %s: %w\n%s", pkg, cpu.Name, err, out)
	}
	return nil
}

func (m Machine) boot(ctx context.Context, emulator []string, kernel, initrd string, console io.Writer) error {
	if m.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, m.Timeout, fmt.Errorf("%w: the machine has run for %v", ErrTimeout, m.Timeout))
		defer cancel()
	}
	level := "1" // emergencies alone: what the kernel says garbles the console
	if m.Verbose {
		level = "7"
	}
	// An oops is a panic, and a panic, like everything that is not init's own
	// end, is an end without a status.
	line := []string{"console=" + m.CPU.console, "loglevel=" + level, "oops=panic", "panic=-1"}
	if m.CPU.append != "" {
		line = append(line, m.CPU.append)
	}
	args := append(emulator[1:len(emulator):len(emulator)], m.CPU.machine...)
	args = append(args,
		"-smp", strconv.Itoa(m.Count), "-m", strconv.Itoa(m.Memory),
		"-nodefaults", "-display", "none", "-serial", "stdio", "-monitor", "none", "-nic", "none", "-no-reboot",
		"-kernel", kernel, "-initrd", initrd, "-append", strings.Join(line, " "))
	cmd := exec.CommandContext(ctx, emulator[0], args...)
	cmd.Stdout = console
	cmd.Stderr = m.Log
	// The emulator ends with us, however we end. The kernel sends that signal when
	// the thread ends that has started it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("%w: %s: %w", ErrMachine, filepath.Base(emulator[0]), err)
	}
	return nil
}
