// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/ulpatch/ulpatch/applier/proc"
)

// probeDisk is a disk of QEMU's that no guest has: requests to it can be held up.
const probeDisk = "probe"

// leftBehind lists what of patches is mapped in a process.
func leftBehind(pid int) ([]string, error) {
	maps, err := proc.ReadMaps(pid)
	if err != nil {
		return nil, err
	}
	var left []string
	for _, m := range maps {
		if strings.HasPrefix(m.Path, "/memfd:ulpatch:") {
			left = append(left, fmt.Sprintf("%#x %s", uint64(m.Start), m.Path))
		}
	}
	return left, nil
}

// resident is a process's RSS in KiB.
func resident(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			return strconv.Atoi(f[1])
		}
	}
	return 0, fmt.Errorf("pid %d: no VmRSS", pid)
}
