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
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
)

// tools are the two programs, as an operator runs them.
type tools struct {
	bin     string        // folder
	key     string        // secret key to sign with; the public one is beside it
	timeout time.Duration // of an apply or a revert
}

// newTools makes a key in dir.
func newTools(ctx context.Context, bin, dir string, timeout time.Duration) (*tools, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	t := &tools{bin: bin, key: filepath.Join(dir, "ci.key"), timeout: timeout}
	a, err := t.call(ctx, "ulpatch-build", "keygen", "--no-password", "-o", strings.TrimSuffix(t.key, ".key"))
	return t, errors.Join(err, a.failure())
}

// answer is what a run of a program gave.
type answer struct {
	operation
	exit   ui.Code
	stderr string
	took   time.Duration
}

// operation is what ulpatch-apply says of one on a process, in JSON.
type operation struct {
	Status   string  `json:"status"`
	PauseUS  float64 `json:"pause_us"`
	HeldUS   float64 `json:"held_us"`
	SearchUS float64 `json:"search_us"`
	Searched uint64  `json:"searched_bytes"`
	Tries    int     `json:"tries"`
	Threads  int     `json:"threads"`
	Error    string  `json:"error"`
	Kept     []kept  `json:"kept"`
}

// kept is a reverted patch that stays in memory.
type kept struct{ ID, Why string }

// call runs a program to its end. An error means that there is no answer.
func (t *tools) call(ctx context.Context, program string, args ...string) (answer, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(t.bin, program), args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	started := time.Now()
	err := cmd.Run()
	a := answer{exit: ui.Code(cmd.ProcessState.ExitCode()), stderr: stderr.String(), took: time.Since(started)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return a, fmt.Errorf("%s %s: %w", program, args[0], err)
	}
	if slices.Contains(args, "--json") {
		if err := json.Unmarshal(stdout.Bytes(), &a.operation); err != nil {
			return a, fmt.Errorf("%s %s: exit status %d: %w: %s", program, args[0], a.exit, err, a.stderr)
		}
	}
	return a, nil
}

// failure is nil where the program did what it was told to.
func (a answer) failure() error {
	if a.exit == ui.Done {
		return nil
	}
	return fmt.Errorf("exit status %d: %s", a.exit, a.reason())
}

// reason is the first error that the program names, in one line.
func (a answer) reason() string {
	for line := range strings.Lines(a.stderr) {
		if _, text, ok := strings.Cut(line, "error: "); ok {
			return strings.TrimSpace(text)
		}
	}
	return strings.TrimSpace(a.stderr)
}

var bracketed = regexp.MustCompile(`\[([a-z][a-z-]+)\]`)

// codes are the names of the reasons of a refusal, each once.
func (a answer) codes() string {
	var names []string
	for _, match := range bracketed.FindAllStringSubmatch(a.stderr, -1) {
		if !slices.Contains(names, match[1]) {
			names = append(names, match[1])
		}
	}
	return strings.Join(names, ",")
}

func (t *tools) build(ctx context.Context, image, orig, fixed, id, bundle string) (answer, error) {
	return t.call(ctx, "ulpatch-build", "diff", "--image", image, "--orig", orig, "--fixed", fixed,
		"--id", id, "--key", t.key, "-o", bundle)
}

func (t *tools) apply(ctx context.Context, pid int, bundle string) (answer, error) {
	return t.call(ctx, "ulpatch-apply", t.applyArgs(pid, bundle)...)
}

func (t *tools) applyArgs(pid int, bundle string) []string {
	return []string{"apply", "--json", "--pid", strconv.Itoa(pid), "--timeout", t.timeout.String(),
		"--trust", strings.TrimSuffix(t.key, ".key") + ".pub", bundle}
}

func (t *tools) revert(ctx context.Context, pid int, id string) (answer, error) {
	return t.call(ctx, "ulpatch-apply", t.revertArgs(pid, id)...)
}

func (t *tools) revertArgs(pid int, id string) []string {
	return []string{"revert", "--json", "--pid", strconv.Itoa(pid), "--timeout", t.timeout.String(), id}
}

// purge frees what reverts have left, with a longer pause than they may make.
func (t *tools) purge(ctx context.Context, pid int, pause time.Duration) (answer, error) {
	return t.call(ctx, "ulpatch-apply", "purge", "--json", "--pid", strconv.Itoa(pid), "--pause-budget", pause.String())
}
