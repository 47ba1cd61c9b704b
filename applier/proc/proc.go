// SPDX-License-Identifier: GPL-2.0-or-later

// Package proc reads what /proc tells of processes: identity, memory map,
// threads, limits. It attaches to nothing and changes nothing.
package proc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoProcess: there is no such process, or it has ended.
var ErrNoProcess = errors.New("no such process")

// ID is a process, told apart from a later one that gets the same number.
type ID struct {
	PID   int
	Start uint64 // clock ticks after boot
}

// Identify finds a process.
func Identify(pid int) (ID, error) {
	stat, err := readStat(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ID{}, fmt.Errorf("pid %d: %w", pid, err)
	}
	return ID{pid, stat.start}, nil
}

// Alive tells whether the process still is the one that was identified, and
// has not ended. The end of its main thread is not its own.
func (id ID) Alive() bool {
	stat, err := readStat(fmt.Sprintf("/proc/%d/stat", id.PID))
	if err != nil || stat.start != id.Start {
		return false
	}
	_, err = LiveThread(id.PID)
	return err == nil
}

type stat struct {
	state byte
	start uint64
}

// readStat parses proc_pid_stat(5).
func readStat(path string) (stat, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return stat{}, noProcess(err)
	}
	// The name, in parentheses, may hold anything.
	end := bytes.LastIndexByte(data, ')')
	if end < 0 {
		return stat{}, fmt.Errorf("%s: malformed", path)
	}
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("%s: malformed", path)
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("%s: start time: %w", path, err)
	}
	return stat{fields[0][0], start}, nil
}

func noProcess(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return ErrNoProcess
	}
	return err
}

// Processes lists the numbers of all processes.
func Processes() ([]int, error) { return numbers("/proc") }

// Threads lists the threads of a process.
func Threads(pid int) ([]int, error) {
	tids, err := numbers(fmt.Sprintf("/proc/%d/task", pid))
	if err == nil && len(tids) == 0 {
		err = ErrNoProcess
	}
	if err != nil {
		return nil, fmt.Errorf("pid %d: %w", pid, noProcess(err))
	}
	return tids, nil
}

// ThreadCount is the number of threads of a process. It costs the same however
// many they are, unlike to list them, or to read /proc/PID/stat.
func ThreadCount(pid int) (int, error) {
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/task", pid), &st); err != nil {
		return 0, fmt.Errorf("pid %d: %w", pid, noProcess(err))
	}
	return int(st.Nlink) - 2, nil // a directory for each, . and ..
}

// LiveThread finds a thread that has not ended: the main thread, or another one
// where that has. What /proc tells of memory it tells of live threads only.
func LiveThread(pid int) (int, error) {
	tids, err := Threads(pid)
	if err != nil {
		return 0, err
	}
	for _, tid := range append([]int{pid}, tids...) {
		if state, err := ThreadState(pid, tid); err == nil && state != 'Z' && state != 'X' {
			return tid, nil
		}
	}
	return 0, fmt.Errorf("pid %d has ended: %w", pid, ErrNoProcess)
}

// ThreadState is the letter of proc_pid_stat(5): R, S, D, Z, T, t, X ...
func ThreadState(pid, tid int) (byte, error) {
	stat, err := readStat(fmt.Sprintf("/proc/%d/task/%d/stat", pid, tid))
	return stat.state, err
}

func numbers(dir string) ([]int, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var list []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			list = append(list, n)
		}
	}
	return list, nil
}

// Sleeping tells where a thread that sleeps in a system call will go on: its
// stack pointer and program counter (proc_pid_syscall(5)). ok is false for a
// thread that runs.
func Sleeping(pid, tid int) (sp, pc uint64, ok bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", pid, tid))
	if err != nil {
		return 0, 0, false
	}
	fields := strings.Fields(string(data))
	if len(fields) < 3 {
		return 0, 0, false
	}
	sp, err1 := strconv.ParseUint(fields[len(fields)-2], 0, 64)
	pc, err2 := strconv.ParseUint(fields[len(fields)-1], 0, 64)
	return sp, pc, err1 == nil && err2 == nil
}

// Status is what matters of proc_pid_status(5).
type Status struct {
	Name        string
	State       byte
	TGID        int
	Tracer      int // thread that traces it, or 0
	Seccomp     int // 0 none, 1 strict, 2 filter
	ShadowStack bool
	Kernel      bool // a kernel thread: no memory of its own
}

// ReadStatus reads the status of a process.
func ReadStatus(pid int) (Status, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Status{}, fmt.Errorf("pid %d: %w", pid, noProcess(err))
	}
	return parseStatus(string(data)), nil
}

func parseStatus(data string) Status {
	status := Status{Kernel: true}
	for line := range strings.Lines(data) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Name":
			status.Name = value
		case "State":
			if value != "" {
				status.State = value[0]
			}
		case "Tgid":
			status.TGID, _ = strconv.Atoi(value)
		case "TracerPid":
			status.Tracer, _ = strconv.Atoi(value)
		case "Seccomp":
			status.Seccomp, _ = strconv.Atoi(value)
		case "VmSize":
			status.Kernel = false
		case "x86_Thread_features":
			status.ShadowStack = strings.Contains(value, "shstk")
		}
	}
	return status
}

// ProgramHeaders is where the executable's program headers are in memory
// (AT_PHDR of getauxval(3)). ok is false where that cannot be told.
func ProgramHeaders(pid int) (addr uint64, ok bool) {
	const atPhdr = 3
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
	if err != nil {
		return 0, false
	}
	for ; len(data) >= 16; data = data[16:] {
		if binary.LittleEndian.Uint64(data) == atPhdr {
			return binary.LittleEndian.Uint64(data[8:]), true
		}
	}
	return 0, false
}

// StackLimit is the soft limit of the main thread's stack in bytes, or max
// where there is none.
func StackLimit(pid int, max uint64) uint64 {
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_STACK, nil, &limit); err != nil || limit.Cur > max {
		return max
	}
	return limit.Cur
}
