// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ulpatch/ulpatch/applier"
)

// TestCoroutine: a function that a coroutine sleeps in is busy, wherever its
// stack is; once the coroutine has left, what the call has left on its stack
// does not matter.
func TestCoroutine(t *testing.T) {
	f := build(t, Recipe{Source: "coroutine"})
	kinds := []string{"ucontext", "jmpbuf", "hand", "indirect", "tail", "beside", "pointer", "own", "low", "apart"}
	if peculiar(t).pushes {
		kinds = append(kinds, "direct")
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			v := start(t, f, kind)
			ask(t, v, "enter", "inside=1 last=0")

			impatient := within(300 * time.Millisecond)
			_, err := applier.Apply(v.PID, f.Bundle, impatient)
			if !errors.Is(err, applier.ErrBusy) || !strings.Contains(err.Error(), "a coroutine is in work") {
				t.Fatalf("while the coroutine is inside: %v", err)
			}
			ask(t, v, "leave", "inside=0 last=1")
			wantVersion(t, v, 1)

			apply(t, v, f)
			wantVersion(t, v, 2)
			ask(t, v, "enter", "inside=1 last=1")
			_, err = applier.Revert(v.PID, f.Bundle.Manifest.ID, impatient)
			if !errors.Is(err, applier.ErrBusy) {
				t.Fatalf("reverted while a coroutine is in the patch: %v", err)
			}
			ask(t, v, "leave", "inside=0 last=2")
			revert(t, v, f.Bundle.Manifest.ID)
			ask(t, v, "enter", "inside=1 last=2")
			ask(t, v, "leave", "inside=0 last=1")
			quit(t, v)
		})
	}
}

// TestRetpoline: a call through a thunk, which replaces its own return address, may
// be of anything.
func TestRetpoline(t *testing.T) {
	f := build(t, Recipe{Source: "coroutine", ID: "retpoline", Compile: peculiar(t).thunks})
	v := start(t, f, "indirect")
	ask(t, v, "enter", "inside=1 last=0")
	_, err := applier.Apply(v.PID, f.Bundle, within(300*time.Millisecond))
	if !errors.Is(err, applier.ErrBusy) || !strings.Contains(err.Error(), "a coroutine is in work") {
		t.Fatalf("while the coroutine is inside: %v", err)
	}
	ask(t, v, "leave", "inside=0 last=1")
	apply(t, v, f)
	wantVersion(t, v, 2)
	quit(t, v)
}

// TestUnseenContext: a coroutine is busy although what leads to its stack is where
// nothing is searched.
func TestUnseenContext(t *testing.T) {
	f := build(t, Recipe{Source: "coroutine"})
	v := start(t, f, "large")
	ask(t, v, "enter", "inside=1 last=0")
	_, err := applier.Apply(v.PID, f.Bundle, within(300*time.Millisecond))
	if !errors.Is(err, applier.ErrBusy) || !strings.Contains(err.Error(), "a coroutine is in work") {
		t.Fatalf("while the coroutine is inside: %v", err)
	}
	ask(t, v, "leave", "inside=0 last=1")
	quit(t, v)
}

func ask(t *testing.T, v *Victim, question, want string) {
	t.Helper()
	if got, err := v.Ask(question); err != nil || got != want {
		t.Fatalf("%s: %q, %v, expected %q", question, got, err, want)
	}
}
