// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ulpatch/ulpatch/applier"
)

// TestSpin: threads that do nothing but call the function, many times as many
// as there are processors.
func TestSpin(t *testing.T) {
	f := build(t, Recipe{Source: "hammer"})
	v := start(t, f, fmt.Sprintf("spin=%d", Scale(64)))
	for range 3 {
		r := apply(t, v, f)
		t.Logf("applied in %d tries, the last stop took %v", r.Tries, r.Pause)
		wantVersion(t, v, 2)
		r = revert(t, v, f.Bundle.Manifest.ID)
		t.Logf("reverted in %d tries, the last stop took %v", r.Tries, r.Pause)
		wantVersion(t, v, 1)
	}
	quit(t, v)
}

// TestThousandThreads: a thousand threads that mostly sleep; fewer where the CPU is
// emulated.
func TestThousandThreads(t *testing.T) {
	f := build(t, Recipe{Source: "hammer"})
	v := start(t, f, fmt.Sprintf("idle=%d", Scale(1000)))
	cycle(t, v, f)
	quit(t, v)
}

// TestNeverLeaves: a function that a thread never leaves is refused in the end,
// with the thread and its stack, and nothing of it is left in the process.
func TestNeverLeaves(t *testing.T) {
	f := build(t, Recipe{Source: "inside"})
	v := start(t, f)
	begin := time.Now()
	_, err := applier.Apply(v.PID, f.Bundle, within(time.Second))
	var aerr *applier.Error
	if !errors.Is(err, applier.ErrBusy) || !errors.As(err, &aerr) || aerr.State != applier.Restored {
		t.Fatalf("%v", err)
	}
	if took := time.Since(begin); took < 500*time.Millisecond {
		t.Errorf("gave up after %v", took)
	}
	if !strings.Contains(err.Error(), "is in work: ") || !strings.Contains(err.Error(), " < work < ") {
		t.Errorf("neither function nor stack: %v", err)
	}
	if strings.Contains(protections(t, v.PID), "ulpatch") {
		t.Error("memory is left behind")
	}
	cancel := make(chan struct{})
	time.AfterFunc(200*time.Millisecond, func() { close(cancel) })
	cancelable := within(time.Minute)
	cancelable.Cancel = cancel
	_, err = applier.Apply(v.PID, f.Bundle, cancelable)
	if !errors.Is(err, applier.ErrCanceled) || strings.Contains(protections(t, v.PID), "ulpatch") {
		t.Errorf("canceled: %v", err)
	}
	ask(t, v, "leave", "left")
	cycle(t, v, f)
	quit(t, v)
}
