// SPDX-License-Identifier: GPL-2.0-or-later

package unwind_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/applier/internal/victim"
	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/ptrace"
	"github.com/ulpatch/ulpatch/applier/unwind"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/arch/amd64"
)

// walker follows a victim's stack. Its calls come from one OS thread.
type walker struct {
	*victim.Process
	t                testing.TB
	mem              *ptrace.Memory
	shadow, progress arch.Addr
	thread           *ptrace.Thread
	unwinder         *unwind.Unwinder
	regs             []byte
}

func start(t testing.TB, path string, args ...string) *walker {
	t.Helper()
	victim.Lock(t)
	w := &walker{Process: victim.Start(t, path, args...), t: t, regs: make([]byte, amd64.Arch.Regs.Size)}
	if _, err := fmt.Sscanf(w.Line(), "%x %x", &w.shadow, &w.progress); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.mem, err = ptrace.OpenMemory(w.PID); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.mem.Close() })
	victim.Await(t, "the deepest function", func() bool { return w.words(w.progress, 1)[0] > 0 })
	maps, err := proc.ReadMaps(w.PID)
	if err != nil {
		t.Fatal(err)
	}
	var tables []*unwind.Table
	for _, m := range module.Load(maps, w.mem) {
		table, err := unwind.OfModule(m, w.mem)
		if err == nil {
			tables = append(tables, table)
		} else if !strings.Contains(m.Path, "musl") {
			t.Errorf("%s: %v", m.Path, err)
		}
	}
	w.unwinder = unwind.New(amd64.Arch, w.mem, tables)
	if w.thread, err = ptrace.Seize(w.PID); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *walker) words(at arch.Addr, n int) []uint64 {
	w.t.Helper()
	buf := make([]byte, 8*n)
	if err := w.mem.Read(at, buf); err != nil {
		w.t.Fatal(err)
	}
	words := make([]uint64, n)
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(buf[8*i:])
	}
	return words
}

func (w *walker) stop() {
	w.t.Helper()
	if err := w.thread.Interrupt(); err != nil {
		w.t.Fatal(err)
	}
	victim.Await(w.t, "a stop", func() bool {
		_, ok, err := w.thread.Poll()
		if err != nil {
			w.t.Fatal(err)
		}
		return ok
	})
	if _, err := w.thread.Registers(1, w.regs); err != nil {
		w.t.Fatal(err)
	}
}

// check compares the frames of the stopped victim with its own notes, innermost
// first, and returns how many activations it found: all, unless a part of the
// program without information is in the way, as the test has to expect.
func (w *walker) check(truncated bool) (found int) {
	w.t.Helper()
	var frames []unwind.Frame
	rest, err := w.unwinder.Walk(w.regs, func(f unwind.Frame) bool {
		frames = append(frames, f)
		return true
	})
	if err != nil && !truncated || !errors.Is(err, unwind.ErrTruncated) && err != nil {
		w.t.Errorf("%d frames, then %v", len(frames), err)
	}
	if last := len(frames) - 2; err != nil && w.Args[1] == "coroutine" && rest != frames[last].CFA {
		w.t.Errorf("rest %#x is not the CFA of the last frame: %+v", rest, frames)
	}
	count := int(w.words(w.shadow, 1)[0])
	notes := w.words(w.shadow+8, 2*count)
	at := 0
	for ; found < count; found++ {
		note := notes[2*(count-1-found):]
		ra, cfa := arch.Addr(note[0]), arch.Addr(note[1])
		for ; at+1 < len(frames); at++ {
			if frames[at+1].PC == ra && frames[at].CFA == cfa {
				break
			}
		}
		if at+1 < len(frames) {
			continue
		}
		if err == nil {
			w.t.Fatalf("activation %d of %d, which returns to %#x, CFA %#x: not found in %d frames:\n%+v", count-1-found, count, ra, cfa, len(frames), frames)
		}
		break
	}
	return found
}

// TestWalk stops victims at the bottom of deep stacks of all kinds.
func TestWalk(t *testing.T) {
	for _, b := range []struct {
		name, compiler string
		flags          []string
		not            string // what it cannot do
	}{
		{"O0", "gcc", []string{"-O0"}, ""},
		{"O2", "gcc", []string{"-O2"}, ""},
		{"O2 without frame pointers", "gcc", []string{"-O2", "-fomit-frame-pointer", "-fno-plt"}, ""},
		{"Os lazy", "gcc", []string{"-Os", "-Wl,-z,lazy"}, ""},
		{"shrink-wrapped", "gcc", []string{"-O3", "-fshrink-wrap", "-fno-omit-frame-pointer", "-Wl,-z,now"}, ""},
		{"fixed address", "gcc", []string{"-O2", "-no-pie"}, ""},
		{"static", "gcc", []string{"-O2", "-static"}, "plt"},
		{"static-pie", "gcc", []string{"-O2", "-static-pie"}, "plt"},
		// The PLT of a static program has no information, nor has musl, which has no
		// coroutines either.
		{"musl", "musl-gcc", []string{"-O2"}, "coroutine"},
	} {
		t.Run(b.name, func(t *testing.T) {
			flags := append(b.flags, "-Wall")
			path := victim.BuildWith(t, b.compiler, "stack.c", flags...)
			for _, what := range []string{"spin", "read", "sleep", "poll", "pause", "clock", "plt", "signal", "signal-alt", "signal-fault", "coroutine"} {
				if what == b.not {
					continue
				}
				t.Run(what, func(t *testing.T) {
					w := start(t, path, what)
					rounds := 3
					if what == "plt" || what == "clock" {
						rounds = 60
					}
					for range rounds {
						w.stop()
						found := w.check(b.compiler == "musl-gcc" || what == "coroutine")
						if least := map[string]int{"spin": 3, "signal": 12, "signal-alt": 12, "signal-fault": 15, "coroutine": 15}[what]; found < least {
							t.Errorf("%d activations were found, not %d", found, least)
						}
						if err := w.thread.Resume(); err != nil {
							t.Fatal(err)
						}
					}
				})
			}
		})
	}
}

// TestWalkAnywhere stops victims wherever they are: prologues, epilogues, the
// procedure linkage table.
func TestWalkAnywhere(t *testing.T) {
	for _, flags := range [][]string{{"-O0"}, {"-O2"}, {"-O2", "-Wl,-z,lazy", "-fno-omit-frame-pointer"}, {"-Os", "-static"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			w := start(t, victim.Build(t, "stack.c", flags...), "run")
			static := slices.Contains(flags, "-static")
			for range 400 {
				w.stop()
				w.check(static) // in its PLT
				if err := w.thread.Resume(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestWalkTruncated: a stack that leads nowhere is told from one that ends.
func TestWalkTruncated(t *testing.T) {
	w := start(t, victim.Build(t, "stack.c", "-O2"), "spin")
	w.stop()
	le := binary.LittleEndian
	sp := arch.Addr(le.Uint64(w.regs[amd64.Arch.Regs.SP:]))

	empty := unwind.New(amd64.Arch, w.mem, nil)
	frames := 0
	rest, err := empty.Walk(w.regs, func(unwind.Frame) bool { frames++; return true })
	if !errors.Is(err, unwind.ErrTruncated) || rest != sp || frames != 1 {
		t.Errorf("without tables: %d frames, rest %#x of %#x, %v", frames, rest, sp, err)
	}

	le.PutUint64(w.regs[amd64.Arch.Regs.SP:], 0x10000)
	frames = 0
	rest, err = w.unwinder.Walk(w.regs, func(unwind.Frame) bool { frames++; return true })
	if !errors.Is(err, unwind.ErrTruncated) || rest != 0x10000 || frames != 1 {
		t.Errorf("without a stack: %d frames, rest %#x, %v", frames, rest, err)
	}

	le.PutUint64(w.regs[amd64.Arch.Regs.SP:], uint64(sp))
	frames = 0
	if rest, err = w.unwinder.Walk(w.regs, func(unwind.Frame) bool { frames++; return frames < 3 }); err != nil || rest != 0 || frames != 3 {
		t.Errorf("stopped by the visitor: %d frames, rest %#x, %v", frames, rest, err)
	}
}

// BenchmarkWalk walks the same stack again and again, as happens to each of many
// threads that do the same.
func BenchmarkWalk(b *testing.B) {
	w := start(b, victim.Build(b, "stack.c", "-O2"), "read")
	w.stop()
	frames := 0
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.unwinder.Walk(w.regs, func(unwind.Frame) bool { frames++; return true }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(frames), "ns/frame")
	b.ReportMetric(float64(frames)/float64(b.N), "frames/op")
}
