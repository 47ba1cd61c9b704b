// SPDX-License-Identifier: GPL-2.0-or-later

package scan_test

import (
	"encoding/binary"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/ptrace"
	"github.com/ulpatch/ulpatch/applier/scan"
	"github.com/ulpatch/ulpatch/arch"
)

const mapped = 4 << 20 // bytes of memory to search

// TestWords writes words into some pages of memory of our own and searches
// regions that begin and end anywhere.
func TestWords(t *testing.T) {
	const marker = 0x7123456789ab0000
	page := os.Getpagesize()
	memory, err := unix.Mmap(-1, 0, mapped, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	if err := unix.Madvise(memory, unix.MADV_NOHUGEPAGE); err != nil {
		t.Fatal(err)
	}
	start := addressOf(t, memory)
	// Pages that exist and pages that do not, in all neighbourhoods, also around
	// what is read at once.
	words := []int{0, page - 8, 3 * page, 5*page + 16, 6*page + 8, 1<<20 - 8, 1 << 20, 1<<20 + 2*page, 3<<20 + 8, mapped - 8}
	for i, off := range words {
		binary.LittleEndian.PutUint64(memory[off:], marker+uint64(i))
	}

	mem, err := ptrace.OpenMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	s := scan.Open(os.Getpid(), mem)
	defer s.Close()
	for _, r := range [][2]int{
		{0, mapped}, {8, mapped}, {page - 8, 4 * page}, {3*page + 8, 7 * page}, {4*page + 2048, 6*page + 16},
		{5*page + 16, 5*page + 24}, {2048, 1<<20 + 8}, {1 << 20, 1<<20 + 8}, {7 * page, 1<<20 - 8}, {2*page - 1024, 3<<20 + 16},
	} {
		want := map[int]bool{}
		for _, off := range words {
			want[off] = off >= r[0] && off+8 <= r[1]
		}
		region := scan.Region{Start: start + arch.Addr(r[0]), End: start + arch.Addr(r[1])}
		n, err := s.Words(region, []scan.Span{{Lo: marker, Hi: marker + 100}}, func(at, word arch.Addr) bool {
			off := int(at - start)
			if !want[off] || words[word-marker] != off {
				t.Errorf("%#x: found %#x at %#x", r, uint64(word), off)
			}
			want[off] = false
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		for off, missed := range want {
			if missed {
				t.Errorf("%#x: the word at %#x was not found", r, off)
			}
		}
		if n > uint64(len(words)*page) {
			t.Errorf("%#x: %d bytes were read, of pages that do not exist too", r, n)
		}
	}
}

// addressOf finds memory of ours by what is in it.
func addressOf(t *testing.T, memory []byte) arch.Addr {
	t.Helper()
	const secret = 0x05ec4e700ddba11
	binary.LittleEndian.PutUint64(memory, secret)
	defer binary.LittleEndian.PutUint64(memory, 0)
	maps, err := proc.ReadMaps(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	mem, err := ptrace.OpenMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	for _, m := range maps {
		for at := m.Start; at+mapped <= m.End && m.Writable() && !m.Shared(); at += arch.Addr(os.Getpagesize()) {
			var word [8]byte
			if mem.Read(at, word[:]) == nil && binary.LittleEndian.Uint64(word[:]) == secret {
				return at
			}
		}
	}
	t.Fatal("the memory is not found")
	return 0
}
