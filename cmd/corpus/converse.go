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

// converse starts a program that answers each line on its standard input with
// one on its standard output, and that ends with its input. The instance's ask
// may be called from several goroutines; it has no probe yet.
func converse(at place, path string, args ...string) (*instance, error) {
	stdin, questions, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	answers, stdout, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdout.Close()
	process, err := launch(at.dir, "program", stdin, stdout, path, args...)
	if err != nil {
		return nil, err
	}

	var lock sync.Mutex
	lines := bufio.NewReader(answers)
	ask := func(question string) (string, error) {
		lock.Lock()
		defer lock.Unlock()
		if err := answers.SetReadDeadline(time.Now().Add(seconds(10))); err != nil {
			return "", err
		}
		if _, err := io.WriteString(questions, question+"\n"); err != nil {
			return "", err
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("%s: %w", question, err)
		}
		return strings.TrimSuffix(line, "\n"), nil
	}
	stop := func() error {
		if err := process.ended(); err != nil {
			return err
		}
		return errors.Join(questions.Close(), process.wait(seconds(15)), answers.Close())
	}
	return &instance{daemon: process, ask: ask, stop: stop}, nil
}
