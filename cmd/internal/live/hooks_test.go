// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ulpatch/ulpatch/applier"
	"github.com/ulpatch/ulpatch/builder"
	"github.com/ulpatch/ulpatch/format"
)

// set makes the hooks of the victim do something.
func set(t *testing.T, v *Victim, name string, value int) {
	t.Helper()
	line, err := v.Ask(fmt.Sprintf("set %s %d", name, value))
	if err == nil {
		_, err = parseStatus(line)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// wantCalls wants how often the hooks of each stage were called.
func wantCalls(t *testing.T, v *Victim, calls ...int) {
	t.Helper()
	s := status(t, v)
	for i, name := range []string{"pre_apply", "post_apply", "pre_revert", "post_revert"} {
		if s.Values[name] != calls[i] {
			t.Fatalf("%s hooks were called %d times, expected %d: %s", name, s.Values[name], calls[i], s.Line)
		}
	}
}

// called are the hooks of a result.
func called(r *applier.Result) string {
	var names []string
	for _, h := range r.Hooks {
		names = append(names, fmt.Sprintf("%s %s=%d", h.Stage, h.Name, h.Value))
	}
	return strings.Join(names, ", ")
}

// TestHooks: the hooks of a patch are called in their turn, and what it remembers
// of each object, while threads make and free them, is right.
func TestHooks(t *testing.T) {
	f := build(t, Recipe{Source: "hooks"})
	if n := len(tableOf(t, f).Functions); n != 2 {
		t.Fatalf("%d functions change, expected use and closed", n)
	}
	v := start(t, f)
	if r, err := applier.Apply(v.PID, f.Bundle, applier.Options{DryRun: true}); err != nil || len(r.Hooks) != 2 || r.Hooks[0].Called {
		t.Fatalf("a dry run would call %v (%v)", r, err)
	}
	wantCalls(t, v, 0, 0, 0, 0)
	for n := range Scale(20) {
		if got := called(apply(t, v, f)); got != "pre-apply prepare=0, post-apply begin=0" {
			t.Fatalf("called %s", got)
		}
		wantVersion(t, v, 2)
		wantCalls(t, v, n+1, n+1, n, n)
		r := revert(t, v, "hooks")
		if got := called(r); got != "pre-revert finish=0, post-revert cleanup=0" {
			t.Fatalf("called %s", got)
		}
		wantVersion(t, v, 1)
		wantCalls(t, v, n+1, n+1, n+1, n+1)
	}
	quit(t, v)
}

// TestHookMemory: cycles of a patch with hooks leave nothing behind.
func TestHookMemory(t *testing.T) {
	f := build(t, Recipe{Source: "hooks"})
	v := start(t, f)
	for range 3 {
		apply(t, v, f)
		if r := revert(t, v, "hooks"); len(r.Kept) > 0 {
			purge(t, v)
		}
		if left, err := applier.List(v.PID); err != nil || len(left) > 0 {
			t.Fatalf("left: %v (%v)", left, err)
		}
	}
	quit(t, v)
}

func purge(t *testing.T, v *Victim) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		r, err := applier.Purge(v.PID, patient)
		if err == nil && len(r.Kept) == 0 {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("purge: %+v (%v)", r, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestHookForbids: a hook before a change can forbid it; what the hooks before it
// have done is undone by those of the other direction.
func TestHookForbids(t *testing.T) {
	f := build(t, Recipe{Source: "hooks"})
	v := start(t, f)
	set(t, v, "veto", 1)
	_, err := applier.Apply(v.PID, f.Bundle, patient)
	wantError(t, err, applier.ErrRefused, applier.Restored, "pre-apply hook prepare of hooks has returned 40")
	wantVersion(t, v, 1)
	wantCalls(t, v, 1, 0, 0, 1)
	set(t, v, "veto", 0)
	apply(t, v, f)

	set(t, v, "veto", 3)
	_, err = applier.Revert(v.PID, "hooks", patient)
	wantError(t, err, applier.ErrRefused, applier.Restored, "pre-revert hook finish of hooks has returned 42")
	wantVersion(t, v, 2)
	wantCalls(t, v, 2, 2, 1, 1)

	// After the fact a hook can only complain.
	set(t, v, "veto", 4)
	if got := called(revert(t, v, "hooks")); got != "pre-revert finish=0, post-revert cleanup=43" {
		t.Fatalf("called %s", got)
	}
	set(t, v, "veto", 2)
	if got := called(apply(t, v, f)); got != "pre-apply prepare=0, post-apply begin=41" {
		t.Fatalf("called %s", got)
	}
	wantVersion(t, v, 2)
	quit(t, v)
}

func wantError(t *testing.T, err, kind error, state applier.State, text string) {
	t.Helper()
	var aerr *applier.Error
	if !errors.As(err, &aerr) || kind != nil && !errors.Is(err, kind) || aerr.State != state || !strings.Contains(err.Error(), text) {
		t.Fatalf("%v, expected %v, process %s, %q", err, kind, state, text)
	}
}

// TestHookCrash: the process survives a hook that crashes, with its own handlers
// in place, while the tool is there.
func TestHookCrash(t *testing.T) {
	f := build(t, Recipe{Source: "hooks"})
	v := start(t, f)
	set(t, v, "crash", 1)
	_, err := applier.Apply(v.PID, f.Bundle, patient)
	wantError(t, err, nil, applier.Unknown, "pre-apply hook prepare of hooks: it was ended by SIGSEGV")
	wantVersion(t, v, 1)
	wantCalls(t, v, 1, 0, 0, 0)
	set(t, v, "crash", 0)
	// The next run tidies up.
	apply(t, v, f)
	wantVersion(t, v, 2)
	wantCalls(t, v, 2, 1, 0, 1)
	set(t, v, "crash", 2)
	revert(t, v, "hooks")
	_, err = applier.Apply(v.PID, f.Bundle, patient)
	wantError(t, err, nil, applier.Unknown, "the patch is active")
	wantVersion(t, v, 2)
	revert(t, v, "hooks")
	wantVersion(t, v, 1)
	quit(t, v)
}

// TestHookTooSlow: a hook that does not return is left alone, and its thread comes
// back by itself.
func TestHookTooSlow(t *testing.T) {
	f := build(t, Recipe{Source: "hooks"})
	v := start(t, f)
	set(t, v, "slow", 10_000)
	short := patient
	short.HookTimeout = 100 * time.Millisecond
	_, err := applier.Apply(v.PID, f.Bundle, short)
	wantError(t, err, nil, applier.Unknown, "pre-apply hook prepare of hooks: it has not returned in time")
	// While it is there nothing can be done.
	short.Timeout = 300 * time.Millisecond
	_, err = applier.Apply(v.PID, f.Bundle, short)
	wantError(t, err, applier.ErrBusy, applier.Restored, "hooks")
	apply(t, v, f)
	wantVersion(t, v, 2)
	wantCalls(t, v, 2, 1, 0, 1)
	revert(t, v, "hooks")
	quit(t, v)
}

// TestHookReplaced: where a patch replaces another, the hooks of both are called.
func TestHookReplaced(t *testing.T) {
	first := build(t, Recipe{Source: "hooks"})
	second := build(t, Recipe{Source: "hooks", Spec: &builder.Spec{Version: 2}, Defines: []string{"-DFIXED", "-DVERSION=3"}})
	v := start(t, first)
	apply(t, v, first)
	r := apply(t, v, second)
	want := "pre-apply prepare=0, pre-revert finish=0, post-revert cleanup=0, post-apply begin=0"
	if got := called(r); got != want {
		t.Fatalf("called %s, expected %s", got, want)
	}
	// What is forbidden leaves the old patch as it was.
	set(t, v, "veto", 3)
	_, err := applier.Apply(v.PID, first.Bundle, applier.Options{AllowDowngrade: true, Timeout: patient.Timeout, Pause: patient.Pause})
	wantError(t, err, applier.ErrRefused, applier.Restored, "pre-revert hook finish")
	wantPatches(t, v, "hooks version 2")
	wantCalls(t, v, 3, 3, 2, 2)
	set(t, v, "veto", 0)
	revert(t, v, "")
	quit(t, v)
}

// TestHookUnnoticed: a thread does not notice that a hook has run in it, whatever
// it was about.
func TestHookUnnoticed(t *testing.T) {
	f := build(t, Recipe{Source: "hammer", Defines: []string{"-DFIXED", "-DHOOKS"}})
	kinds := everything
	if Emulated() {
		kinds = []string{"registers=2", "reader=2"}
	}
	for _, kind := range kinds {
		kind, _, _ = strings.Cut(kind, "=")
		t.Run(kind, func(t *testing.T) {
			args := []string{"leave", kind + "=1"} // a main thread would be borrowed first
			if kind == "sender" {
				args = append(args, "receiver=1")
			}
			v := start(t, f, args...)
			for range Scale(10) {
				for _, r := range []*applier.Result{apply(t, v, f), revert(t, v, "hammer")} {
					for _, h := range r.Hooks {
						if h.Value != 0 {
							t.Fatalf("%s hook: %d", h.Stage, h.Value)
						}
					}
					if len(r.Hooks) != 2 {
						t.Fatalf("%d hooks were called", len(r.Hooks))
					}
				}
			}
			quit(t, v)
		})
	}
}

// TestHookFeature: the bundle says that it has hooks.
func TestHookFeature(t *testing.T) {
	f := build(t, Recipe{Source: "hooks"})
	if c := f.Bundle.Manifest.Critical; len(c) != 1 || c[0] != format.FeatureHooks {
		t.Fatalf("critical: %v", c)
	}
}
