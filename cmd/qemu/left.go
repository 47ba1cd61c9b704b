// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ulpatch/ulpatch/applier/proc"
)

// ours begins the names of the files that patches are mapped from.
const ours = "/memfd:ulpatch:"

// leftBehind lists what of patches is mapped or open in a process.
func leftBehind(pid int) ([]string, error) {
	maps, err := proc.ReadMaps(pid)
	if err != nil {
		return nil, err
	}
	var left []string
	for _, m := range maps {
		if strings.HasPrefix(m.Path, ours) {
			left = append(left, fmt.Sprintf("%#x %s", uint64(m.Start), m.Path))
		}
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if to, err := os.Readlink(file); err == nil && strings.HasPrefix(to, ours) {
			left = append(left, file+" "+to)
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
