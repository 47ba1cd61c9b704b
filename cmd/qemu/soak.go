// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
)

// soakFixes are the stack that is put on and taken off again and again: the block
// layer, a device, the network, the monitor.
var soakFixes = []string{"blklogwrites-7.2.9", "ctrl-7.2.1", "virtio-net-7.2.3"}

const (
	killShare    = 5  // one in so many operations is killed
	busyMost     = 10 // times in a row that a process may be busy
	purgeEvery   = 25 // cycles
	verifyEvery  = 200
	steadyGrowth = 5 // percent of QEMU's RSS that may come to it from a tenth of the soak to its end
)

// tally is what a soak counts.
type tally struct {
	cycles, operations, kills int
	busy, tries               int
	pause, stall, purge       float64 // ms, the longest
	rss                       []int   // KiB, one after each purge
	kept                      []kept  // by the last purge
}

// soak puts a stack of fixes on and takes it off in random order, kills the tool
// now and then, and wants QEMU, the guest, its data, the memory that QEMU has and
// its mappings to be what they should.
func (r *run) soak(ctx context.Context) error {
	var stack []*fix
	for _, name := range soakFixes {
		f, err := r.fix(ctx, name)
		if err != nil {
			return err
		}
		stack = append(stack, f)
	}
	var t tally
	begun := time.Now()
	for t.cycles = 0; t.cycles < r.cycles; {
		if err := r.cycle(ctx, stack, &t); err != nil {
			return fmt.Errorf("cycle %d: %w", t.cycles, err)
		}
		t.cycles++
		if t.cycles%purgeEvery == 0 || t.cycles == r.cycles {
			if err := r.inspect(ctx, &t); err != nil {
				return fmt.Errorf("cycle %d: %w", t.cycles, err)
			}
			r.progress("soak: %d of %d cycles, %d kills, RSS %d MiB", t.cycles, r.cycles, t.kills, t.rss[len(t.rss)-1]>>10)
		}
		if t.cycles%verifyEvery == 0 {
			if _, err := r.guest.verify(); err != nil {
				return fmt.Errorf("cycle %d: %w", t.cycles, err)
			}
		}
	}
	first, last := t.rss[len(t.rss)/10], t.rss[len(t.rss)-1]
	r.say("\nsoak: %d cycles of %d fixes in %v: %d operations, %d kills, %d busy, %d tries; longest pause %.1f ms; guest's longest stall %.1f ms, while purging %.1f ms",
		t.cycles, len(stack), time.Since(begun).Round(time.Second), t.operations, t.kills, t.busy, t.tries, t.pause, t.stall, t.purge)
	r.say("soak: QEMU's RSS %d KiB at first, %d KiB in the end; in its memory are left %d patches%s", first, last, len(t.kept), reasons(t.kept))
	if last > first+first*steadyGrowth/100 {
		return fmt.Errorf("QEMU's RSS grew from %d KiB to %d KiB", first, last)
	}
	return nil
}

// cycle puts all fixes of a stack on, and takes them off in another order.
func (r *run) cycle(ctx context.Context, stack []*fix, t *tally) error {
	for _, what := range []string{"apply", "revert"} {
		order := slices.Clone(stack)
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, f := range order {
			args := r.tools.revertArgs(r.guest.pid(), f.name)
			if what == "apply" {
				args = r.tools.applyArgs(r.guest.pid(), f.bundle)
			}
			killed := rand.IntN(killShare) == 0
			if killed {
				if err := r.killed(args, t); err != nil {
					return fmt.Errorf("%s %s, killed: %w", what, f.name, err)
				}
			}
			if err := r.operate(ctx, args, killed, t); err != nil {
				return fmt.Errorf("%s %s: %w", what, f.name, err)
			}
		}
	}
	c, err := r.guest.mark()
	t.stall = max(t.stall, float64(c.StallUS)/1e3)
	return err
}

// operate runs the tool until it has done what it is told to: a busy process was
// left as it was, and is asked again. What was killed before may have done it
// already.
func (r *run) operate(ctx context.Context, args []string, killed bool, t *tally) error {
	for again := 0; ; again++ {
		a, err := r.tools.call(ctx, "ulpatch-apply", args...)
		if err != nil {
			return err
		}
		if err := r.guest.unharmed(); err != nil {
			return err
		}
		t.operations++
		t.tries += a.Tries
		t.pause = max(t.pause, a.PauseUS/1e3)
		if a.Status == string(busy) && again < busyMost {
			t.busy++
			continue
		}
		if killed && a.exit == ui.NoMatch {
			return nil
		}
		return a.failure()
	}
}

// killed runs the tool and kills it at some moment.
func (r *run) killed(args []string, t *tally) error {
	const most = 1500 * time.Millisecond
	cmd := exec.Command(filepath.Join(r.tools.bin, "ulpatch-apply"), args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return err
	}
	time.Sleep(rand.N(most))
	_ = cmd.Process.Kill() // it may have ended
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() < 0 {
		t.kills++
	}
	return r.guest.unharmed()
}

// inspect frees what the reverts have left, and looks at QEMU.
func (r *run) inspect(ctx context.Context, t *tally) error {
	kept, err := r.purged(ctx)
	if err != nil {
		return err
	}
	t.kept = kept
	c, err := r.guest.mark()
	if err != nil {
		return err
	}
	t.purge = max(t.purge, float64(c.StallUS)/1e3)
	rss, err := resident(r.guest.pid())
	t.rss = append(t.rss, rss)
	return err
}
