// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Victim is a running program that answers questions.
type Victim struct {
	PID int
	cmd *exec.Cmd
	in  io.WriteCloser
	out chan string
}

// Start runs a program and waits until it says that it is ready.
func Start(program string, args ...string) (*Victim, error) {
	return StartCommand(exec.Command(program, args...))
}

// StartCommand is Start for a command that was set up already.
func StartCommand(cmd *exec.Cmd) (*Victim, error) {
	v := &Victim{cmd: cmd, out: make(chan string, 16)}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	v.in = in
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	v.PID = cmd.Process.Pid
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			v.out <- lines.Text()
		}
		close(v.out)
	}()
	line, err := v.line()
	if err == nil && line != "ready" {
		err = fmt.Errorf("said %q", line)
	}
	if err != nil {
		v.Kill()
		return nil, fmt.Errorf("%s: at its start: %w", cmd.Path, err)
	}
	return v, nil
}

// patience is how long an answer may take on a machine that does other things.
var patience = Slow(60 * time.Second)

func (v *Victim) line() (string, error) {
	select {
	case line, ok := <-v.out:
		if !ok {
			return "", fmt.Errorf("pid %d has ended", v.PID)
		}
		return line, nil
	case <-time.After(patience):
		return "", fmt.Errorf("pid %d does not answer", v.PID)
	}
}

// Ask sends a line and returns the answer.
func (v *Victim) Ask(question string) (string, error) {
	if _, err := fmt.Fprintln(v.in, question); err != nil {
		return "", fmt.Errorf("pid %d: %w", v.PID, err)
	}
	return v.line()
}

// Status is a victim's own account, KEY=NUMBER.
type Status struct {
	Line   string
	Values map[string]int
}

// Status asks for the victim's account. An error that the victim has found is
// an error.
func (v *Victim) Status() (Status, error) {
	line, err := v.Ask("status")
	if err != nil {
		return Status{}, err
	}
	return parseStatus(line)
}

func parseStatus(line string) (Status, error) {
	s := Status{line, map[string]int{}}
	for _, field := range strings.Fields(line) {
		key, value, ok := strings.Cut(field, "=")
		if n, err := strconv.Atoi(value); ok && err == nil {
			s.Values[key] = n
		}
	}
	if n, ok := s.Values["errors"]; !ok || n != 0 {
		return s, fmt.Errorf("victim: %s", line)
	}
	return s, nil
}

// Quit ends the victim in an orderly way and returns what it found wrong.
func (v *Victim) Quit() error {
	line, err := v.Ask("quit")
	if err == nil {
		_, err = parseStatus(line)
	}
	if err != nil {
		v.Kill()
		return err
	}
	if err := v.cmd.Wait(); err != nil {
		return fmt.Errorf("pid %d: %w", v.PID, err)
	}
	return nil
}

// Kill ends the victim and whatever it was about.
func (v *Victim) Kill() {
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait()
}
