// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier"
	"github.com/ulpatch/ulpatch/cmd/internal/live"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/keys"
)

// toolMode as the first argument makes this program the tool that is killed:
//
//	tool apply|revert|recover PID BUNDLE TRUST STEP
//
// It says "go" when it starts. STEP is the number of the step at which it kills
// itself, or -1.
const toolMode = "tool"

func options(step int) applier.Options {
	n := 0
	return applier.Options{
		Timeout: live.Slow(60 * time.Second), Pause: live.Slow(100 * time.Millisecond),
		Step: func(string) {
			if n == step {
				_ = unix.Kill(unix.Getpid(), unix.SIGKILL)
			}
			n++
		},
	}
}

func tool(args []string) int {
	pid, _ := strconv.Atoi(args[1])
	step, _ := strconv.Atoi(args[4])
	b, err := openBundle(args[2], args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	fmt.Println("go")
	if err := operate(args[0], pid, b, options(step)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func openBundle(path, trust string) (*format.Bundle, error) {
	t, err := keys.LoadTrust(trust)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return format.Open(f, info.Size(), t)
}

func operate(what string, pid int, b *format.Bundle, opts applier.Options) (err error) {
	switch what {
	case "apply":
		_, err = applier.Apply(pid, b, opts)
	case "revert":
		_, err = applier.Revert(pid, b.Manifest.ID, opts)
	case "recover":
		_, err = applier.Recover(pid, opts)
	}
	// After a kill the state may be either.
	if errors.Is(err, applier.ErrNoMatch) {
		return nil
	}
	return err
}
