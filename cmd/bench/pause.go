// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sort"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/ptrace"
	"github.com/ulpatch/ulpatch/cmd/internal/live"
)

// pauses prints, for each number of threads, asleep and hammering, the time for
// which a process was stopped, and the same for the bare minimum: stop all
// threads, read their registers, let them go. Both are measured in turn.
func pauses(counts []int, rounds int) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f, err := live.Build(dir, live.Recipe{Source: "hammer"})
	if err != nil {
		return err
	}
	fmt.Println("time that a process is stopped for a patch, in microseconds")
	fmt.Printf("%-8s %7s  %9s %9s  %9s %9s  %6s  %6s  %9s\n",
		"threads", "kind", "bare", "bare p99", "patch", "patch p99", "ratio", "tries", "borrowed")
	for _, n := range counts {
		for _, kind := range []string{"idle", "hammer"} {
			if err := pause(f, n, kind, rounds); err != nil {
				return fmt.Errorf("%d threads, %s: %w", n, kind, err)
			}
		}
	}
	return nil
}

func pause(f *live.Fixture, threads int, kind string, rounds int) error {
	v, err := live.Start(f.Program, fmt.Sprintf("%s=%d", kind, threads))
	if err != nil {
		return err
	}
	defer v.Kill()
	opts := applier.Options{Timeout: time.Minute, Pause: time.Second}
	var bare, patch, held []time.Duration
	tries := 0
	for range rounds {
		for _, apply := range []bool{true, false} {
			d, err := bareStop(v.PID)
			if err != nil {
				return err
			}
			bare = append(bare, d)
			var r *applier.Result
			if apply {
				r, err = applier.Apply(v.PID, f.Bundle, opts)
			} else {
				r, err = applier.Revert(v.PID, f.Bundle.Manifest.ID, opts)
			}
			if err != nil {
				return err
			}
			patch = append(patch, r.Pause)
			tries += r.Tries
			if apply {
				held = append(held, r.Held)
			}
		}
	}
	if err := v.Quit(); err != nil {
		return err
	}
	fmt.Printf("%-8d %7s  %9.0f %9.0f  %9.0f %9.0f  %6.2f  %6.2f  %9.0f\n", threads, kind,
		micros(bare, 50), micros(bare, 99), micros(patch, 50), micros(patch, 99),
		micros(patch, 50)/micros(bare, 50), float64(tries)/float64(2*rounds), micros(held, 50))
	return nil
}

func micros(list []time.Duration, percentile int) float64 {
	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	return float64(list[min(len(list)-1, len(list)*percentile/100)].Nanoseconds()) / 1e3
}

// bareStop stops all threads, reads their registers and lets them go.
func bareStop(pid int) (d time.Duration, err error) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // ends with the goroutine
		ptrace.Hurry()
		d, err = stopOnce(pid)
		done <- err
	}()
	return d, <-done
}

const ntPRStatus = 1

func stopOnce(pid int) (time.Duration, error) {
	tids, err := proc.Threads(pid)
	if err != nil {
		return 0, err
	}
	var threads []*ptrace.Thread
	for _, tid := range tids {
		t, err := ptrace.Seize(tid)
		if err != nil {
			return 0, err
		}
		threads = append(threads, t)
	}
	regs := make([]byte, 1024)
	start := time.Now()
	for _, t := range threads {
		if err := t.Interrupt(); err != nil {
			return 0, err
		}
	}
	var wait ptrace.Wait
	for waiting := 1; waiting > 0; {
		waiting = 0
		for _, t := range threads {
			if t.Stopped() {
				continue
			}
			_, ok, err := t.Poll()
			if err != nil {
				return 0, err
			}
			if !ok {
				waiting++
				continue
			}
			if _, err := t.Registers(ntPRStatus, regs); err != nil {
				return 0, err
			}
		}
		if waiting > 0 {
			wait.Rest()
		}
	}
	wait.End()
	for _, t := range threads {
		if err := t.Detach(); err != nil && !errors.Is(err, unix.ESRCH) {
			return 0, err
		}
	}
	return time.Since(start), nil
}
