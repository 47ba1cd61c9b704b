// SPDX-License-Identifier: GPL-2.0-or-later

// Package scan searches the writable memory of a process for words: return
// addresses on stacks that no thread is on, pointers into code that is to go.
// It reads only pages that exist, and knows which memory it left out.
package scan

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/arch"
)

const pageSize = 4096 // the smallest that a kernel has

// Memory is the memory of a process.
type Memory interface {
	Read(addr arch.Addr, p []byte) error
}

// Scanner reads one process's memory.
type Scanner struct {
	// Ignore are bits of a word that Words takes for zero: the signatures of
	// addresses.
	Ignore uint64

	mem     Memory
	pagemap *os.File
	page    uint64
	buf     []byte
	entries []byte
}

// Open prepares to scan a process. Without the right to read its page map, all
// pages count as existing.
func Open(pid int, mem Memory) *Scanner {
	s := &Scanner{mem: mem, page: uint64(os.Getpagesize())}
	s.pagemap, _ = os.Open(fmt.Sprintf("/proc/%d/pagemap", pid))
	s.buf = make([]byte, chunk)
	s.entries = make([]byte, chunk/pageSize*8)
	return s
}

// Close releases the scanner.
func (s *Scanner) Close() {
	if s.pagemap != nil {
		s.pagemap.Close()
	}
}

const chunk = 1 << 20

// Region is memory to scan.
type Region struct{ Start, End arch.Addr }

// Size is the region's size in bytes.
func (r Region) Size() uint64 { return uint64(r.End - r.Start) }

// Span is a range of values, lo <= w < hi.
type Span struct{ Lo, Hi arch.Addr }

// Words calls visit for each aligned word of the region that, without Ignore, lies
// in one of the spans, and its address, until visit returns false. Pages that do
// not exist are passed over. n is the number of bytes that were read.
func (s *Scanner) Words(r Region, spans []Span, visit func(at, word arch.Addr) bool) (n uint64, err error) {
	return s.Each(r, func(at arch.Addr, run []byte) bool {
		for off := 0; off+8 <= len(run); off += 8 {
			word := binary.LittleEndian.Uint64(run[off:]) &^ s.Ignore
			for _, span := range spans {
				if word-uint64(span.Lo) < uint64(span.Hi-span.Lo) && !visit(at+arch.Addr(off), arch.Addr(word)) {
					return false
				}
			}
		}
		return true
	})
}

// Each calls visit for the existing parts of a region, at most 1 MiB at a time,
// until visit returns false. n is the number of bytes that were read.
func (s *Scanner) Each(r Region, visit func(at arch.Addr, run []byte) bool) (n uint64, err error) {
	// Whole pages exist or do not; a region may begin and end within one.
	page := arch.Addr(s.page)
	for at := r.Start &^ (page - 1); at < r.End; at += chunk {
		pages := min(uint64(r.End-at)+s.page-1, chunk) / s.page
		present, err := s.present(at, pages)
		if err != nil {
			return n, err
		}
		for first := uint64(0); first < pages; first++ {
			if !present(first) {
				continue
			}
			last := first + 1
			for last < pages && present(last) {
				last++
			}
			start, end := max(at+arch.Addr(first)*page, r.Start), min(at+arch.Addr(last)*page, r.End)
			run := s.buf[:end-start]
			if err := s.mem.Read(start, run); err != nil {
				return n, err
			}
			n += uint64(len(run))
			if !visit(start, run) {
				return n, nil
			}
			first = last
		}
	}
	return n, nil
}

// present tells which of the pages from at on exist: in memory or swapped out
// (Documentation/admin-guide/mm/pagemap.rst).
func (s *Scanner) present(at arch.Addr, pages uint64) (func(i uint64) bool, error) {
	if s.pagemap == nil {
		return func(uint64) bool { return true }, nil
	}
	const exists = 1<<63 | 1<<62
	entries := s.entries[:8*pages]
	got, err := unix.Pread(int(s.pagemap.Fd()), entries, int64(uint64(at)/s.page*8))
	if err != nil {
		return nil, fmt.Errorf("pagemap: %w", err)
	}
	return func(i uint64) bool {
		return 8*i+8 <= uint64(got) && binary.LittleEndian.Uint64(entries[8*i:])&exists != 0
	}, nil
}

// Writable are the mappings that could hold a pointer of the program's own:
// private and writable. Left out are those of which keep is false.
func Writable(maps proc.Maps, keep func(proc.Mapping) bool) []Region {
	var regions []Region
	for _, m := range maps {
		if m.Readable() && m.Writable() && !m.Shared() && keep(m) {
			regions = append(regions, Region{m.Start, m.End})
		}
	}
	return regions
}
