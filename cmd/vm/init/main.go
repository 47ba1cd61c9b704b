// SPDX-License-Identifier: GPL-2.0-or-later

// Command init is the first process in a machine of cmd/vm, and the only one
// beside the program that it runs: it mounts what a program expects to be
// mounted, starts it, sends its output and its exit status over the console, and
// switches the machine off.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/cmd/internal/vm"
)

func main() {
	if err := boot(); err != nil {
		fmt.Fprintln(os.Stderr, "init: error:", err)
	}
	// Off, and with it the emulator; should that fail, the end of init is a
	// panic of the kernel, which is an end as well.
	_ = unix.IoctlSetInt(1, unix.TCSBRK, 1) // wait until all is written
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Fprintln(os.Stderr, "init: power off:", err)
	}
}

func boot() error {
	if err := rawConsole(); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	if err := mountAll(); err != nil {
		return err
	}
	if err := loopback(); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	data, err := os.ReadFile(vm.JobFile)
	if err != nil {
		return err
	}
	var job vm.Job
	if err := json.Unmarshal(data, &job); err != nil {
		return fmt.Errorf("%s: %w", vm.JobFile, err)
	}
	sender, err := vm.NewSender(os.Stdout, job.Word)
	if err != nil {
		return err
	}
	status, err := run(job, sender)
	if err != nil {
		return err
	}
	return sender.End(status)
}

// rawConsole lets the console pass every byte as it is.
func rawConsole() error {
	t, err := unix.IoctlGetTermios(1, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO
	return unix.IoctlSetTermios(1, unix.TCSETS, t)
}

func mountAll() error {
	for _, m := range []struct{ kind, at, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", "mode=0755"},
		{"devpts", "/dev/pts", "ptmxmode=0666"},
		{"tmpfs", "/dev/shm", "mode=1777"},
		{"tmpfs", "/tmp", "mode=1777"},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, m.options); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	return nil
}

// loopback gives the machine the one network that it has.
func loopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, request)
}

// run returns the exit status of the job, as a shell has it.
func run(job vm.Job, out *vm.Sender) (int, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(job.Args[0], job.Args[1:]...)
	cmd.Dir = job.Dir
	cmd.Env = append([]string{"PATH=/bin", "HOME=/tmp", "TMPDIR=/tmp"}, job.Env...)
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(out, "init: %v\n", err)
		return 127, nil
	}
	write.Close()
	copied := make(chan error, 1)
	go func() { copied <- copyAll(out, read) }()
	status, err := reap(cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	// What is still running may hold the pipe; it is not waited for.
	select {
	case err = <-copied:
	case <-time.After(2 * time.Second):
		_ = read.SetReadDeadline(time.Now())
		err = <-copied
	}
	return status, err
}

func copyAll(out *vm.Sender, in *os.File) error {
	buffer := make([]byte, 4096)
	for {
		n, err := in.Read(buffer)
		if _, werr := out.Write(buffer[:n]); werr != nil {
			return werr
		}
		if err != nil {
			return nil // the end, or the deadline
		}
	}
}

// reap waits for the end of a process, and of all those that were left to init.
func reap(pid int) (int, error) {
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait: %w", err)
		case ended != pid:
		case status.Signaled():
			return 128 + int(status.Signal()), nil
		default:
			return status.ExitStatus(), nil
		}
	}
}
