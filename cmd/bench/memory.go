// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// childFlag makes this program make one patch and end, so that its memory can be
// measured.
const childFlag = "-child"

// child makes a patch of an image and two trees or objects.
func child(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("%s: IMAGE ORIG FIXED", childFlag)
	}
	return diff(args[0], args[1], args[2])
}

// peakOfDiff is the most memory, in bytes, that making a patch takes.
func peakOfDiff(image, orig, fixed string) (int64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	return peak(exec.Command(self, childFlag, image, orig, fixed))
}

// peak runs a command and returns the most memory, in bytes, that it had. What
// wait4 tells of a child begins with the memory of its parent, so the process is
// looked at while it runs.
func peak(cmd *exec.Cmd) (int64, error) {
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var most int64
	for {
		if n, ok := highWater(cmd.Process.Pid); ok {
			most = max(most, n)
		}
		select {
		case err := <-done:
			if err == nil && most == 0 {
				err = errors.New("it ended before it was looked at")
			}
			if err != nil {
				return 0, fmt.Errorf("%s: %w", cmd.Path, err)
			}
			return most, nil
		case <-time.After(200 * time.Microsecond):
		}
	}
}

// highWater is the most memory, in bytes, that a process has had so far.
func highWater(pid int) (int64, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		var n int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &n); err == nil {
			const kibibyte = 1024
			return n * kibibyte, true
		}
	}
	return 0, false
}

// compareMemory prints the peak of making a patch against that of other commands
// on the same files.
func compareMemory(what, image, orig, fixed string, other *exec.Cmd) error {
	mine, err := peakOfDiff(image, orig, fixed)
	if err != nil {
		return err
	}
	theirs, err := peak(other)
	if err != nil {
		return err
	}
	const mebibyte = 1 << 20
	fmt.Printf("  peak memory: %.1f MiB, %s %.1f MiB, ratio %.2f\n", float64(mine)/mebibyte, what, float64(theirs)/mebibyte, float64(mine)/float64(theirs))
	return nil
}
