// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// dialogue is a program that answers each line on its standard input with one
// on its standard output, and that ends with its input.
type dialogue struct {
	question string
	greeting string // beginning of lines that answer nothing; "" for none
	env      []string
	path     string
	args     []string
}

// converse starts the program. ask puts the question and returns the answer; it
// may be called from several goroutines. The instance has no probe yet.
func converse(at place, d dialogue) (one *instance, ask func() (string, error), err error) {
	stdin, questions, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer stdin.Close()
	answers, stdout, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer stdout.Close()
	process, err := launch(at.dir, "program", stdin, stdout, d.env, d.path, d.args...)
	if err != nil {
		return nil, nil, err
	}

	var lock sync.Mutex
	lines := bufio.NewReader(answers)
	ask = func() (string, error) {
		lock.Lock()
		defer lock.Unlock()
		if err := answers.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return "", err
		}
		if _, err := io.WriteString(questions, d.question+"\n"); err != nil {
			return "", err
		}
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return "", fmt.Errorf("%s: %w", d.question, err)
			}
			if d.greeting == "" || !strings.HasPrefix(line, d.greeting) {
				return strings.TrimSuffix(line, "\n"), nil
			}
		}
	}
	stop := func() error {
		if err := process.ended(); err != nil {
			return err
		}
		return errors.Join(questions.Close(), process.wait(15*time.Second), answers.Close())
	}
	return &instance{daemon: process, stop: stop}, ask, nil
}
