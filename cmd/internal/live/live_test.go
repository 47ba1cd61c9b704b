// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/ulpatch/ulpatch/applier"
	"github.com/ulpatch/ulpatch/arch/all"
)

func build(t *testing.T, r Recipe) *Fixture {
	t.Helper()
	f, err := Build(t.TempDir(), r)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func start(t *testing.T, f *Fixture, args ...string) *Victim {
	t.Helper()
	return startCommand(t, exec.Command(f.Program, args...))
}

// startCommand starts a program. Where programs are only prepared, all that a test
// needs has been built when it starts the first one, and the test ends here.
func startCommand(t *testing.T, cmd *exec.Cmd) *Victim {
	t.Helper()
	if Preparing() {
		t.SkipNow()
	}
	v, err := StartCommand(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Kill)
	return v
}

func status(t *testing.T, v *Victim) Status {
	t.Helper()
	s, err := v.Status()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wantVersion(t *testing.T, v *Victim, version int) {
	t.Helper()
	if s := status(t, v); s.Values["version"] != version {
		t.Fatalf("version %d answers, expected %d: %s", s.Values["version"], version, s.Line)
	}
}

// patience of tests, on machines that do other things too.
var patient = applier.Options{Timeout: 3 * time.Minute, Pause: Slow(500 * time.Millisecond)}

// within is patience that ends: d is the time for a machine that is not emulated.
func within(d time.Duration) applier.Options {
	o := patient
	o.Timeout = Slow(d)
	return o
}

func apply(t *testing.T, v *Victim, f *Fixture) *applier.Result {
	t.Helper()
	r, err := applier.Apply(v.PID, f.Bundle, patient)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func revert(t *testing.T, v *Victim, id string) *applier.Result {
	t.Helper()
	r, err := applier.Revert(v.PID, id, patient)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func quit(t *testing.T, v *Victim) {
	t.Helper()
	if err := v.Quit(); err != nil {
		t.Fatal(err)
	}
}

// everything is one or more threads of each kind.
var everything = []string{"hammer=4", "idle=4", "registers=2", "reader=2", "sleeper=2", "poller=1",
	"sender=1", "receiver=1", "alarmed=1", "churn=1", "forker=1"}

// TestHammer patches and reverts a program whose threads do all that can be
// disturbed, and check that it was not.
func TestHammer(t *testing.T) {
	f := build(t, Recipe{Source: "hammer"})
	v := start(t, f, everything...)
	wantVersion(t, v, 1)
	for range Scale(20) {
		if r := apply(t, v, f); r.Status != applier.Applied {
			t.Fatalf("%s", r.Status)
		}
		wantVersion(t, v, 2)
		if r := apply(t, v, f); r.Status != applier.AlreadyApplied {
			t.Fatalf("the second time: %s", r.Status)
		}
		revert(t, v, f.Bundle.Manifest.ID)
		wantVersion(t, v, 1)
	}
	quit(t, v)
}

func TestMain(m *testing.M) {
	if _, err := all.ByName(CPU()); err != nil {
		println("there is nothing to test:", err.Error())
		os.Exit(1)
	}
	if os.Getuid() != 0 && !Preparing() {
		println("these tests trace processes and want to be root")
		os.Exit(1)
	}
	os.Exit(m.Run())
}
