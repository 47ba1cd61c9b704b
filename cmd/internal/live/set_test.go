// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/ulpatch/ulpatch/applier"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/builder"
)

// fixes builds a program and several patches of its function; patch N answers
// as version N.
func fixes(t *testing.T, numbers []int, change func(n int, r *Recipe)) map[int]*Fixture {
	t.Helper()
	dir := t.TempDir()
	out := map[int]*Fixture{}
	for _, n := range numbers {
		r := Recipe{Source: "hammer", ID: fmt.Sprintf("fix%d", n), Defines: []string{"-DFIXED", fmt.Sprintf("-DNUMBER=%d", n)}}
		if change != nil {
			change(n, &r)
		}
		f, err := Build(dir, r)
		if err != nil {
			t.Fatal(err)
		}
		out[n] = f
	}
	return out
}

// TestStack: of several patches of a function the newest active one has it; any
// can be reverted, in any order.
func TestStack(t *testing.T) {
	f := fixes(t, []int{2, 3, 4}, nil)
	v := start(t, f[2], "hammer=2", "idle=2")
	for _, step := range []struct {
		do   string
		n    int
		want int
	}{
		{"apply", 2, 2}, {"apply", 3, 3}, {"apply", 4, 4},
		{"revert", 3, 4}, {"revert", 4, 2}, {"revert", 2, 1},
		{"apply", 3, 3}, {"apply", 2, 2}, {"revert", 2, 3}, {"apply", 4, 4}, {"revert", 3, 4}, {"revert", 4, 1},
		{"apply", 2, 2}, {"apply", 3, 3}, {"revert", 0, 1},
	} {
		if step.do == "apply" {
			apply(t, v, f[step.n])
		} else {
			id := ""
			if step.n > 0 {
				id = f[step.n].Bundle.Manifest.ID
			}
			revert(t, v, id)
		}
		wantVersion(t, v, step.want)
	}
	_, err := applier.Revert(v.PID, "fix2", patient)
	if !errors.Is(err, applier.ErrNoMatch) {
		t.Fatalf("reverting what is not active: %v", err)
	}
	quit(t, v)
}

// TestReplace: a patch replaces others in one change, and a newer version of a
// patch replaces the older one.
func TestReplace(t *testing.T) {
	f := fixes(t, []int{2, 3, 4}, func(n int, r *Recipe) {
		switch n {
		case 3:
			r.Spec = &builder.Spec{Replaces: []string{"fix2"}}
		case 4:
			r.ID, r.Spec = "fix3", &builder.Spec{Version: 2}
		}
	})
	v := start(t, f[2], "hammer=2", "idle=2")
	apply(t, v, f[2])
	if r := apply(t, v, f[3]); len(r.Replaced) != 1 || r.Replaced[0] != "fix2" {
		t.Fatalf("replaced %v", r.Replaced)
	}
	wantVersion(t, v, 3)
	wantPatches(t, v, "fix3 version 1")
	apply(t, v, f[4])
	wantVersion(t, v, 4)
	wantPatches(t, v, "fix3 version 2")
	if _, err := applier.Apply(v.PID, f[3].Bundle, patient); !errors.Is(err, applier.ErrRefused) {
		t.Fatalf("going back to an older version: %v", err)
	}
	revert(t, v, "fix3")
	wantVersion(t, v, 1)
	quit(t, v)
}

func wantPatches(t *testing.T, v *Victim, want ...string) {
	t.Helper()
	list, err := applier.List(v.PID)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range list {
		if p.State == "active" {
			got = append(got, fmt.Sprintf("%s version %d", p.ID, p.Version))
		}
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Fatalf("active: %v, expected %v", got, want)
	}
}

// TestLibrary patches a shared library, linked and opened at run time: its
// thread-local variables, the functions that it imports, and one whose address
// must stay what it was.
func TestLibrary(t *testing.T) {
	own := peculiar(t)
	modes := []string{"linked", "dlopen", "lazy", "other-tls"}
	if own.forced != nil {
		modes = append(modes, "guarded")
	}
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			r := Recipe{Source: "library", Shared: "user"}
			switch mode {
			case "lazy":
				r.Link = []string{"-Wl,-z,lazy"}
			case "dlopen":
				r.Program = []string{"-DOPEN"}
			case "other-tls":
				r.Compile = own.tls
			case "guarded":
				r.Compile, r.Link = own.guarded, own.forced
			}
			f := build(t, r)
			args := []string{}
			if mode == "dlopen" {
				args = append(args, f.Image)
			}
			v := start(t, f, args...)
			if mode == "guarded" {
				wantGuarded(t, v, f)
			}
			cycle(t, v, f)
			cycle(t, v, f)
			quit(t, v)
		})
	}
}

// TestTwoAtOnce: appliers that meet on a process come one after another.
func TestTwoAtOnce(t *testing.T) {
	f := fixes(t, []int{2, 3, 4, 5}, nil)
	v := start(t, f[2], "hammer=2", "idle=2")
	var wait sync.WaitGroup
	failed := make(chan error, 4)
	for _, n := range []int{2, 3, 4, 5} {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if _, err := applier.Apply(v.PID, f[n].Bundle, patient); err != nil {
				failed <- err
			}
		}()
	}
	wait.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	if list, err := applier.List(v.PID); err != nil || len(list) != 4 {
		t.Fatalf("%v, %v", list, err)
	}
	revert(t, v, "")
	wantVersion(t, v, 1)
	quit(t, v)
}

// TestProtections: no page is ever writable and executable, and all are as they
// were afterwards.
func TestProtections(t *testing.T) {
	f := build(t, Recipe{Source: "hammer"})
	v := start(t, f, "idle=1")
	before := protections(t, v.PID)
	apply(t, v, f)
	protections(t, v.PID)
	revert(t, v, f.Bundle.Manifest.ID)
	if after := protections(t, v.PID); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	quit(t, v)
}

func protections(t *testing.T, pid int) string {
	t.Helper()
	maps, err := proc.ReadMaps(pid)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, m := range maps {
		if m.Writable() && m.Executable() {
			t.Errorf("writable and executable: %+v", m)
		}
		if m.Path != "" && m.Path != "[heap]" && m.Path != "[stack]" {
			fmt.Fprintf(&text, "%x-%x %s %s\n", m.Start, m.End, m.Perms, m.Path)
		}
	}
	return text.String()
}

// TestNoMatch: a bundle for an image says nothing to a process that
// does not run it.
func TestNoMatch(t *testing.T) {
	f := build(t, Recipe{Source: "hammer"})
	other := build(t, Recipe{Source: "odd"})
	v := start(t, other)
	_, err := applier.Apply(v.PID, f.Bundle, patient)
	var aerr *applier.Error
	if !errors.Is(err, applier.ErrNoMatch) || !errors.As(err, &aerr) || aerr.State != applier.Untouched {
		t.Fatalf("%v", err)
	}
	quit(t, v)
}
