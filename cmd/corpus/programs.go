// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
)

// answer is what one run of a program gave.
type answer struct {
	exit           ui.Code
	stdout, stderr string
	took           time.Duration
}

// reason is the program's first error in one line.
func (a answer) reason() string {
	first, _, _ := strings.Cut(a.stderr, "\n")
	for line := range strings.Lines(a.stderr) {
		if strings.Contains(line, "error: ") {
			first = strings.TrimSpace(line)
			break
		}
	}
	return fmt.Sprintf("exit status %d: %s", a.exit, first)
}

var bracketed = regexp.MustCompile(`\[([a-z][a-z-]+)\]`)

// codes are the names of the reasons that the program gave, each once.
func (a answer) codes() string {
	var names []string
	seen := map[string]bool{}
	for _, match := range bracketed.FindAllStringSubmatch(a.stderr, -1) {
		if !seen[match[1]] {
			seen[match[1]] = true
			names = append(names, match[1])
		}
	}
	return strings.Join(names, ",")
}

// crashed tells that the program hit a bug of its own.
func (a answer) crashed() bool {
	return a.exit < 0 || strings.Contains(a.stderr, "goroutine ") && strings.Contains(a.stderr, "panic")
}

// call runs ulpatch-build or ulpatch-apply. An error means that it could not be
// run, or did not end in time.
func (s *shared) call(ctx context.Context, program string, args ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, seconds(120))
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = seconds(10)
	started := time.Now()
	err := cmd.Run()
	a := answer{stdout: stdout.String(), stderr: stderr.String(), took: time.Since(started)}
	if ctx.Err() != nil {
		return a, fmt.Errorf("%s %s: %w", program, args[0], ctx.Err())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return a, err
	}
	a.exit = ui.Code(cmd.ProcessState.ExitCode())
	return a, nil
}

func (s *shared) build(ctx context.Context, c testCase, output string) (answer, error) {
	args := []string{"diff", "--orig", filepath.Join(c.dir, "orig"), "--fixed", filepath.Join(c.dir, "fixed"),
		"--id", c.cve, "--key", s.key, "-o", output}
	for _, image := range c.images {
		args = append(args, "--image", image)
	}
	return s.call(ctx, "ulpatch-build", args...)
}

func (s *shared) verify(ctx context.Context, bundle string) (answer, error) {
	return s.call(ctx, "ulpatch-build", "verify", "--trust", s.trust, bundle)
}

func (s *shared) apply(ctx context.Context, pid int, bundle string) (answer, error) {
	return s.call(ctx, "ulpatch-apply", "apply", "--pid", strconv.Itoa(pid), "--trust", s.trust,
		"--timeout", s.timeout.String(), "--json", bundle)
}

func (s *shared) revert(ctx context.Context, pid int, id string) (answer, error) {
	return s.call(ctx, "ulpatch-apply", "revert", "--pid", strconv.Itoa(pid), "--timeout", s.timeout.String(), "--json", id)
}

func (s *shared) list(ctx context.Context, pid int) (answer, error) {
	return s.call(ctx, "ulpatch-apply", "list", "--pid", strconv.Itoa(pid), "--json")
}

// find returns the first value of a key, wherever it is in a JSON text, and
// false where it is missing.
func find(text, key string) (value any, found bool) {
	objects(text, func(object map[string]any) {
		if v, ok := object[key]; ok && !found {
			value, found = v, true
		}
	})
	return value, found
}

// active tells whether a list of patches has one with the given id in force.
func active(list, id string) (found bool) {
	objects(list, func(patch map[string]any) {
		found = found || patch["id"] == id && patch["state"] == "active"
	})
	return found
}

// objects visits every object in a text of JSON values, the outer ones first.
func objects(text string, visit func(map[string]any)) {
	decoder := json.NewDecoder(strings.NewReader(text))
	for {
		var value any
		if decoder.Decode(&value) != nil {
			return
		}
		within(value, visit)
	}
}

func within(value any, visit func(map[string]any)) {
	switch value := value.(type) {
	case map[string]any:
		visit(value)
		for _, inner := range value {
			within(inner, visit)
		}
	case []any:
		for _, inner := range value {
			within(inner, visit)
		}
	}
}
