// SPDX-License-Identifier: GPL-2.0-or-later

package unwind_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/applier/internal/victim"
	"github.com/ulpatch/ulpatch/applier/unwind"
	"github.com/ulpatch/ulpatch/arch"
)

// TestClimb climbs from every frame of stacks of which all is known, and may find
// less than is there, but nothing else.
func TestClimb(t *testing.T) {
	for _, flags := range [][]string{{"-O0"}, {"-O2"}, {"-O3", "-fno-omit-frame-pointer"}, {"-Os", "-static"}} {
		path := victim.Build(t, "stack.c", flags...)
		for _, what := range []string{"spin", "read", "signal", "signal-alt", "coroutine"} {
			t.Run(strings.Join(flags, " ")+" "+what, func(t *testing.T) {
				w := start(t, path, what)
				w.stop()
				var frames []unwind.Frame
				_, _ = w.unwinder.Walk(w.regs, func(f unwind.Frame) bool {
					frames = append(frames, f)
					return true
				})
				steps := 0
				for i := 1; i < len(frames); i++ {
					if frames[i].Exact {
						continue
					}
					at := i
					rest, complete := w.unwinder.Climb(frames[i].PC, frames[i-1].CFA, func(from, to, slot arch.Addr) bool {
						var word [8]byte
						if err := w.mem.Read(slot, word[:]); err != nil || arch.Addr(binary.LittleEndian.Uint64(word[:])) != to {
							t.Errorf("frame %d, %d up: %#x is not at %#x: %v", i, at-i, uint64(to), uint64(slot), err)
						}
						if at+1 >= len(frames) || from != frames[at].Lookup() || to != frames[at+1].PC {
							t.Errorf("from frame %d, %d up: %#x returns to %#x, in %+v", i, at-i, uint64(from), uint64(to), frames)
							return false
						}
						if start, end, ok := w.unwinder.Function(from); ok && (from < start || from >= end) {
							t.Errorf("%#x lies in %#x-%#x", uint64(from), uint64(start), uint64(end))
						}
						at++
						steps++
						return true
					})
					// What is left is the rest of the frame that could not be followed.
					if !complete && rest != frames[at-1].CFA {
						t.Errorf("from frame %d, %d up: nothing is known from %#x on, in %+v", i, at-i, uint64(rest), frames)
					}
					if complete && at != len(frames)-1 {
						t.Errorf("from frame %d: the outermost is %d of %d", i, at, len(frames))
					}
				}
				// Where frames are found by a frame pointer, it has to be known.
				if pointers := flags[0] == "-O0" || flags[0] == "-O3"; !pointers && steps < len(frames)-5 {
					t.Errorf("%d steps from %d frames", steps, len(frames))
				}
			})
		}
	}
}
