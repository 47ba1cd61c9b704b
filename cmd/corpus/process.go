// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// daemon is a process that we started, with its children.
type daemon struct {
	name string
	cmd  *exec.Cmd
	log  string        // file with all that it printed
	done chan struct{} // closed when it has ended
	end  error         // how it ended; read after done
}

// launch starts a program in a process group of its own. stdin and stdout may
// be nil; stdout is then part of the log.
func launch(dir, name string, stdin io.Reader, stdout io.Writer, path string, args ...string) (*daemon, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d := &daemon{name: name, log: log.Name(), done: make(chan struct{})}
	d.cmd = exec.Command(path, args...)
	d.cmd.Dir = dir
	d.cmd.Stdin, d.cmd.Stdout, d.cmd.Stderr = stdin, stdout, log
	if stdout == nil {
		d.cmd.Stdout = log
	}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		d.end = d.cmd.Wait()
		close(d.done)
	}()
	return d, nil
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

// ended returns how the daemon ended, or nil while it runs.
func (d *daemon) ended() error {
	select {
	case <-d.done:
		return fmt.Errorf("%s ended: %w: %s", d.name, orExit(d.end), d.lastWords())
	default:
		return nil
	}
}

func orExit(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// lastWords is the end of the log, in one line.
func (d *daemon) lastWords() string {
	text, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " | ")
}

// wait waits until the daemon has ended by itself.
func (d *daemon) wait(limit time.Duration) error {
	select {
	case <-d.done:
		if d.end != nil {
			return d.ended()
		}
		return nil
	case <-time.After(limit):
		return fmt.Errorf("%s did not end within %v", d.name, limit)
	}
}

// quit asks the daemon to end and wants exit status 0.
func (d *daemon) quit(signal syscall.Signal) error {
	if err := d.ended(); err != nil {
		return err
	}
	if err := d.cmd.Process.Signal(signal); err != nil {
		return err
	}
	return d.wait(seconds(15))
}

// kill ends the whole process group at once, whatever state it is in.
func (d *daemon) kill() {
	select {
	case <-d.done:
	default:
		_ = syscall.Kill(-d.pid(), syscall.SIGKILL)
		<-d.done
	}
}

// family lists the daemon and all that descend from it.
func (d *daemon) family() []int {
	pids := []int{d.pid()}
	for i := 0; i < len(pids); i++ {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[i]))
		for _, task := range tasks {
			text, _ := os.ReadFile(task)
			for field := range strings.FieldsSeq(string(text)) {
				if pid, err := strconv.Atoi(field); err == nil && !slices.Contains(pids, pid) {
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids
}

// eventually tries until it works, the daemon is dead, or time is up.
func (d *daemon) eventually(ctx context.Context, try func() error) error {
	limit := time.After(seconds(20))
	for {
		err := try()
		if err == nil {
			return nil
		}
		if dead := d.ended(); dead != nil {
			return dead
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return fmt.Errorf("%s: %w: %s", d.name, err, d.lastWords())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// unharmed checks that no thread of a process is stopped or traced.
func unharmed(pid int) error {
	statuses, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(statuses) == 0 {
		return fmt.Errorf("pid %d is gone", pid)
	}
	for _, file := range statuses {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended meanwhile
		}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			value = strings.TrimSpace(value)
			if name == "State" && strings.ContainsAny(value[:1], "tTZX") || name == "TracerPid" && value != "0" {
				return fmt.Errorf("%s: %s %s", file, name, value)
			}
		}
	}
	return nil
}

// code is a digest of all executable memory that a process maps from files: a
// revert has to give it back as it was.
func code(pid int) (string, error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return "", err
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return "", err
	}
	defer memory.Close()
	sum := sha256.New()
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line)
		if len(fields) < 6 || !strings.HasPrefix(fields[5], "/") || strings.HasPrefix(fields[5], "/memfd:") || fields[1][2] != 'x' {
			continue
		}
		var from, to int64
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &from, &to); err != nil {
			return "", err
		}
		if _, err := io.Copy(sum, io.NewSectionReader(memory, from, to-from)); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%x", sum.Sum(nil)), nil
}
