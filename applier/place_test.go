// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/arch"
)

const (
	testReach = 0x7ff00000
	testTop   = arch.Addr(1 << 47)
	maxAddr   = testTop - guard
)

func mapping(start, end arch.Addr, path string) proc.Mapping {
	return proc.Mapping{Start: start, End: end, Perms: "r-xp", Path: path}
}

func moduleAt(start, end arch.Addr) *module.Module {
	return &module.Module{Path: "/m", Start: start, End: end}
}

func TestPlace(t *testing.T) {
	const mib, gib = arch.Addr(1 << 20), arch.Addr(1 << 30)
	vsyscall := mapping(0xffffffffff600000, 0xffffffffff601000, "[vsyscall]")
	for _, c := range []struct {
		name string
		maps proc.Maps
		m    *module.Module
		size uint64
		want arch.Addr // 0: none
	}{
		{"below a fixed executable", proc.Maps{mapping(0x400000, 0x600000, "/m"), mapping(0x600000, 0x700000, "[heap]"), vsyscall}, moduleAt(0x400000, 0x600000), 0x3000, 0x3e0000},
		{"too large for below", proc.Maps{mapping(0x400000, 0x600000, "/m"), mapping(0x600000, 0x700000, "[heap]")}, moduleAt(0x400000, 0x600000), 8 << 20, 0x700000 + heap + guard},
		{"below a position-independent one", proc.Maps{mapping(0x555555554000, 0x555555560000, "/m")}, moduleAt(0x555555554000, 0x555555560000), 1, 0x555555530000},
		{"above a library", proc.Maps{mapping(0x7f0000000000-3*gib, 0x7f0000000000, ""), mapping(0x7f0000000000, 0x7f0000100000, "/m"), mapping(0x7f0000200000, 0x7f0000300000, "/n")}, moduleAt(0x7f0000000000, 0x7f0000100000), 0x4000, 0x7f0000110000},
		{"no room within reach", proc.Maps{mapping(0x10000, 4*gib, ""), mapping(4*gib, 4*gib+mib, "/m"), mapping(4*gib+mib, 8*gib, "")}, moduleAt(4*gib, 4*gib+mib), 1, 0},
		{"gap too small for its guards", proc.Maps{mapping(0x10000, 4*gib-3*guard+1, ""), mapping(4*gib, 4*gib+mib, "/m"), mapping(4*gib+mib, 8*gib, "")}, moduleAt(4*gib, 4*gib+mib), 1, 0},
		{"gap just large enough", proc.Maps{mapping(0x10000, 4*gib-3*guard, ""), mapping(4*gib, 4*gib+mib, "/m"), mapping(4*gib+mib, 8*gib, "")}, moduleAt(4*gib, 4*gib+mib), 1, 4*gib - 2*guard},
		{"only where the stack may grow", proc.Maps{mapping(0x10000, 4*gib, ""), mapping(4*gib, 4*gib+mib, "/m"), mapping(4*gib+8*mib, 4*gib+9*mib, "[stack]"), mapping(4*gib+9*mib, 8*gib, "")}, moduleAt(4*gib, 4*gib+mib), 1, 0},
		{"larger than any payload", proc.Maps{mapping(0x555555554000, 0x555555560000, "/m")}, moduleAt(0x555555554000, 0x555555560000), 1 << 30, 0},
	} {
		at, err := place(c.maps, c.m, c.size, testReach, testTop, 8<<20, nil)
		if at != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("%s: %#x, %v; want %#x", c.name, uint64(at), err, uint64(c.want))
		}
	}
	_, err := place(proc.Maps{mapping(0x10000, maxAddr, "")}, moduleAt(4*gib, 5*gib), 1, testReach, testTop, 0, nil)
	if !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
}

// TestPlaceProperties: whatever the map, what is found is free and within reach.
func TestPlaceProperties(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 3000 {
		const page = 4096
		at := arch.Addr(0x400000 + page*rnd.Uint64N(1<<uint(rnd.IntN(35))))
		var maps proc.Maps
		for range 1 + rnd.IntN(40) {
			start := at + arch.Addr(page*rnd.Uint64N(1<<uint(rnd.IntN(20))))
			end := start + arch.Addr(page*(1+rnd.Uint64N(1<<uint(rnd.IntN(16)))))
			if end >= maxAddr {
				break
			}
			maps = append(maps, mapping(start, end, []string{"/a", "", "[heap]"}[min(2, rnd.IntN(20)/9)]))
			at = end
		}
		stack := uint64(8 << 20)
		top := maxAddr - arch.Addr(page*rnd.Uint64N(1000))
		maps = append(maps, mapping(top-0x21000, top, "[stack]"))
		image := maps[rnd.IntN(len(maps))]
		m := moduleAt(image.Start, image.End)
		size := 1 + rnd.Uint64N(1<<uint(rnd.IntN(27)))
		var taken []span
		for range 3 {
			base, err := place(maps, m, size, testReach, testTop, stack, taken)
			if err != nil {
				break
			}
			found++
			end := base + arch.Addr(size)
			if base%page != 0 || base < minAddr || end > maxAddr || end < base {
				t.Fatalf("%#x", uint64(base))
			}
			for _, x := range maps {
				lo, hi := x.Start, x.End
				switch x.Path {
				case "[heap]":
					hi += 1 << 20 // at least
				case "[stack]":
					lo = hi - arch.Addr(stack)
				}
				if base < hi && lo < end {
					t.Fatalf("%#x-%#x overlaps %+v", uint64(base), uint64(end), x)
				}
			}
			for _, x := range taken {
				if base < x.end && x.start < end {
					t.Fatalf("%#x-%#x overlaps %+v, which is taken", uint64(base), uint64(end), x)
				}
			}
			if lo, hi := min(base, m.Start), max(end, m.End); uint64(hi-lo) > testReach+uint64(m.End-m.Start) && uint64(hi-lo) > testReach+size {
				t.Fatalf("%#x-%#x is out of reach of %#x-%#x", uint64(base), uint64(end), uint64(m.Start), uint64(m.End))
			}
			if m.End > base && uint64(m.End-base) > testReach || end > m.Start && uint64(end-m.Start) > testReach {
				t.Fatalf("%#x-%#x: one end is out of reach of %#x-%#x", uint64(base), uint64(end), uint64(m.Start), uint64(m.End))
			}
			taken = append(taken, span{base, end})
		}
	}
	if found < 1000 {
		t.Errorf("a place was found %d times only", found)
	}
}
