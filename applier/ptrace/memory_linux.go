// SPDX-License-Identifier: GPL-2.0-or-later

package ptrace

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/arch"
)

// Memory is the address space that a process had when it was opened. After an
// exec it reads and writes nothing any more: it never reaches the new image.
type Memory struct {
	file *os.File

	pid int
}

// OpenMemory opens the memory of a process that the caller may trace.
func OpenMemory(pid int) (*Memory, error) {
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &Memory{f, pid}, nil
}

// Close releases the address space.
func (m *Memory) Close() error { return m.file.Close() }

// Read fills p from addr, all of it or an error.
func (m *Memory) Read(addr arch.Addr, p []byte) error {
	n, err := m.ReadSome(addr, p)
	if err == nil && n < len(p) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("pid %d: read %d bytes at %#x: %w", m.pid, len(p), uint64(addr), err)
	}
	return nil
}

// ReadSome fills as much of p from addr as is mapped; n is then below len(p).
func (m *Memory) ReadSome(addr arch.Addr, p []byte) (n int, err error) {
	for n < len(p) {
		k, err := unix.Pread(int(m.file.Fd()), p[n:], int64(addr)+int64(n))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			if n > 0 {
				return n, nil
			}
			return 0, err
		case k == 0:
			if n == 0 {
				return 0, io.EOF
			}
			return n, nil
		}
		n += k
	}
	return n, nil
}

// Write stores p at addr, past page protections, and reads it back.
func (m *Memory) Write(addr arch.Addr, p []byte) error {
	n, err := unix.Pwrite(int(m.file.Fd()), p, int64(addr))
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("pid %d: write %d bytes at %#x: %w", m.pid, len(p), uint64(addr), err)
	}
	back := make([]byte, len(p))
	if err := m.Read(addr, back); err != nil {
		return err
	}
	if string(back) != string(p) {
		return fmt.Errorf("pid %d: wrote % x at %#x, but read % x back", m.pid, p, uint64(addr), back)
	}
	return nil
}
