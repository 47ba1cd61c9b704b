// SPDX-License-Identifier: GPL-2.0-or-later

package proc

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/ulpatch/ulpatch/arch"
)

// Mapping is a line of proc_pid_maps(5).
type Mapping struct {
	Start, End arch.Addr
	// Perms is four letters: r, w, x or -, and p or s.
	Perms  string
	Offset uint64 // bytes into the file
	Dev    string // major:minor; "00:00" where there is no file
	Inode  uint64
	// Path is the file as it was named when it was mapped, or a name in
	// brackets. A deleted file's ends in " (deleted)".
	Path string
}

// Executable, Writable, Readable and Shared read Perms.
func (m Mapping) Readable() bool   { return m.Perms[0] == 'r' }
func (m Mapping) Writable() bool   { return m.Perms[1] == 'w' }
func (m Mapping) Executable() bool { return m.Perms[2] == 'x' }
func (m Mapping) Shared() bool     { return m.Perms[3] == 's' }

// Contains tells whether addr lies in the mapping.
func (m Mapping) Contains(addr arch.Addr) bool { return m.Start <= addr && addr < m.End }

// Maps is a process's memory map in ascending order.
type Maps []Mapping

// ReadMaps reads a memory map. A kernel thread has none.
func ReadMaps(pid int) (Maps, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, fmt.Errorf("pid %d: %w", pid, noProcess(err))
	}
	maps, err := ParseMaps(string(data))
	if err != nil {
		return nil, fmt.Errorf("pid %d: %w", pid, err)
	}
	return maps, nil
}

// ParseMaps parses the text of proc_pid_maps(5).
func ParseMaps(data string) (Maps, error) {
	maps := make(Maps, 0, strings.Count(data, "\n"))
	for line := range strings.Lines(data) {
		line = strings.TrimSuffix(line, "\n")
		m, ok := parseMapping(line)
		if !ok {
			return nil, fmt.Errorf("maps: malformed line %q", line)
		}
		maps = append(maps, m)
	}
	return maps, nil
}

func parseMapping(line string) (Mapping, bool) {
	var field [5]string
	rest := line
	for i := range field {
		var ok bool
		field[i], rest, ok = strings.Cut(rest, " ")
		if !ok && i < 4 {
			return Mapping{}, false
		}
	}
	from, to, _ := strings.Cut(field[0], "-")
	start, err1 := strconv.ParseUint(from, 16, 64)
	end, err2 := strconv.ParseUint(to, 16, 64)
	offset, err3 := strconv.ParseUint(field[2], 16, 64)
	inode, err4 := strconv.ParseUint(field[4], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || len(field[1]) != 4 || start >= end {
		return Mapping{}, false
	}
	return Mapping{
		Start: arch.Addr(start), End: arch.Addr(end), Perms: field[1],
		Offset: offset, Dev: field[3], Inode: inode, Path: strings.TrimLeft(rest, " "),
	}, true
}

// Find returns the mapping that addr lies in.
func (ms Maps) Find(addr arch.Addr) (Mapping, bool) {
	lo, hi := 0, len(ms)
	for lo < hi {
		mid := (lo + hi) / 2
		switch {
		case ms[mid].End <= addr:
			lo = mid + 1
		case ms[mid].Start > addr:
			hi = mid
		default:
			return ms[mid], true
		}
	}
	return Mapping{}, false
}

// Flagged are the mappings that have a flag in VmFlags (proc_pid_smaps(5)), such
// as "bt". It takes longer than ReadMaps.
func Flagged(pid int, flag string) (Maps, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return nil, fmt.Errorf("pid %d: %w", pid, noProcess(err))
	}
	return parseFlagged(string(data), flag), nil
}

func parseFlagged(data, flag string) Maps {
	var maps Maps
	var last Mapping
	for line := range strings.Lines(data) {
		line = strings.TrimSuffix(line, "\n")
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok {
			if slices.Contains(strings.Fields(flags), flag) {
				maps = append(maps, last)
			}
		} else if m, ok := parseMapping(line); ok {
			last = m
		}
	}
	return maps
}
