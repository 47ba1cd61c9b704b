// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"errors"
	"fmt"

	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/arch"
)

const (
	minAddr = arch.Addr(1 << 16)   // below: vm.mmap_min_addr
	guard   = arch.Addr(64 << 10)  // kept free beside other mappings; a multiple of every page size
	heap    = arch.Addr(1 << 30)   // kept free for brk to grow
	maxDown = uint64(1) << 30      // kept free for the main stack to grow, at most
	most    = arch.Addr(256 << 20) // a payload's size
)

var errNoRoom = errors.New("no free range")

// place finds room of size bytes within reach of every byte of a module, clear
// of what may grow into it: the closest, below the module where there is a
// choice. top ends the address space; taken is room that was given away already.
func place(maps proc.Maps, m *module.Module, size, reach uint64, top arch.Addr, stack uint64, taken []span) (arch.Addr, error) {
	need := (arch.Addr(size) + guard - 1) &^ (guard - 1)
	if need > most {
		return 0, fmt.Errorf("payload of %d bytes", size)
	}
	low, high := minAddr, top-guard
	if r := arch.Addr(reach); m.End > r && m.End-r > low {
		low = m.End - r
	}
	if r := arch.Addr(reach); m.Start+r < high {
		high = m.Start + r
	}
	var best arch.Addr
	var bestGap arch.Addr
	found := false
	consider := func(at arch.Addr) {
		gap := m.Start - (at + need)
		if at > m.Start {
			gap = at - m.End
		}
		gap >>= 20 // a MiB more or less is no choice
		if !found || gap < bestGap {
			best, bestGap, found = at, gap, true
		}
	}
	for _, free := range gaps(maps, high, stack, taken) {
		from, to := max(free.start, low), min(free.end, high)
		from = (from + guard - 1) &^ (guard - 1)
		to &^= guard - 1
		if from >= to || to-from < need+2*guard {
			continue
		}
		if free.end <= m.Start {
			consider(to - guard - need)
		} else {
			consider(from + guard)
		}
	}
	if !found {
		return 0, fmt.Errorf("%w: %w of %d bytes within %d MiB of %s", ErrRefused, errNoRoom, need, reach>>20, m.Name())
	}
	return best, nil
}

type span struct{ start, end arch.Addr }

// gaps are the free ranges, without the room that heap and stack may want. What
// lies above the stack may not be the process's.
func gaps(maps proc.Maps, top arch.Addr, stack uint64, taken []span) []span {
	var free []span
	at := minAddr
	for _, m := range maps {
		end := m.Start
		if m.Path == "[stack]" {
			end = min(end, m.End-min(m.End, arch.Addr(stack)))
			top = min(top, m.End)
		}
		if end > at {
			free = append(free, span{at, end})
		}
		at = max(at, m.End)
		if m.Path == "[heap]" {
			at += heap
		}
	}
	if at < top {
		free = append(free, span{at, top})
	}
	for _, t := range taken {
		free = without(free, t)
	}
	return free
}

func without(free []span, t span) []span {
	var out []span
	for _, f := range free {
		if t.end <= f.start || f.end <= t.start {
			out = append(out, f)
			continue
		}
		if f.start < t.start {
			out = append(out, span{f.start, t.start})
		}
		if t.end < f.end {
			out = append(out, span{t.end, f.end})
		}
	}
	return out
}
