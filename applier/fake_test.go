// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

var errFake = errors.New("out of order")

// fakeMemory is a process's memory by the start of each mapping. Operations
// failAt and failToo fail, and all from brokenFrom on; a write that fails has
// stored half of its bytes.
type fakeMemory struct {
	mappings           map[arch.Addr][]byte
	ops                int
	failAt, brokenFrom int // from 1; 0: never
	failToo            int // another one
}

func (m *fakeMemory) find(addr arch.Addr, n int) []byte {
	for start, data := range m.mappings {
		if off := uint64(addr - start); addr >= start && off <= uint64(len(data)) && uint64(n) <= uint64(len(data))-off {
			return data[off:][:n]
		}
	}
	return nil
}

func (m *fakeMemory) fails() bool {
	m.ops++
	return m.ops == m.failAt || m.ops == m.failToo || m.brokenFrom > 0 && m.ops >= m.brokenFrom
}

func (m *fakeMemory) Read(addr arch.Addr, p []byte) error {
	from := m.find(addr, len(p))
	if from == nil && len(p) > 0 || m.fails() {
		return fmt.Errorf("read %d bytes at %#x: %w", len(p), uint64(addr), errFake)
	}
	copy(p, from)
	return nil
}

func (m *fakeMemory) Write(addr arch.Addr, p []byte) error {
	to := m.find(addr, len(p))
	if to == nil || m.fails() {
		copy(to, p[:len(p)/2])
		return fmt.Errorf("write %d bytes at %#x: %w", len(p), uint64(addr), errFake)
	}
	copy(to, p)
	return nil
}

func (m *fakeMemory) clone() map[arch.Addr][]byte {
	c := maps.Clone(m.mappings)
	for at, data := range c {
		c[at] = bytes.Clone(data)
	}
	return c
}

func sameMemory(t testing.TB, name string, got, want map[arch.Addr][]byte) {
	t.Helper()
	for at, data := range want {
		if !bytes.Equal(got[at], data) {
			t.Errorf("%s: memory at %#x has changed", name, uint64(at))
		}
	}
}
