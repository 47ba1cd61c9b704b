// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier"
)

// TestWaits borrows the only thread of processes that wait in a system call. A
// call with a time-out ends when it would have; a signal that comes meanwhile ends
// or restarts the call as it always would. SIGUSR2 has a handler with SA_RESTART,
// SIGUSR1 one without.
func TestWaits(t *testing.T) {
	const eintr, timedOut = int(unix.EINTR), int(unix.ETIMEDOUT)
	cases := []waitCase{
		{call: "nanosleep"},
		{call: "futex", errno: timedOut},
		{call: "poll"},
		{call: "select"},
		{call: "read"},
		{call: "masked-ppoll"},
		{"nanosleep", unix.SIGUSR1, eintr, true},
		{"nanosleep", unix.SIGUSR2, eintr, true},
		{"futex", unix.SIGUSR1, eintr, true},
		{"poll", unix.SIGUSR2, eintr, true},
		{"select", unix.SIGUSR1, eintr, true},
		{"read", unix.SIGUSR1, eintr, true},
		{"read", unix.SIGUSR2, 0, false},
		{"pause", unix.SIGUSR1, eintr, true},
		{"sigsuspend", unix.SIGUSR1, eintr, true},
		{"masked-ppoll", unix.SIGUSR1, eintr, true},
		{"masked-sigsuspend", unix.SIGUSR1, eintr, true},
	}
	f := build(t, Recipe{Source: "waits"})
	for wait := Slow(8 * time.Second); len(cases) > 0; wait *= 2 {
		if wait > Slow(40*time.Second) {
			t.Fatalf("too late to tell, however long they wait: %+v", cases)
		}
		cases = borrowWaiting(t, f, cases, wait)
	}
}

// waitCase is a call that the only thread of a process waits in, and how it ends.
type waitCase struct {
	call   string
	signal unix.Signal // while the thread is borrowed; 0: none
	errno  int
	early  bool // ends with the signal
}

// borrowWaiting starts a process for each case. It returns those whose threads were
// borrowed too late, on a machine that does other things, to tell one end from
// another.
func borrowWaiting(t *testing.T, f *Fixture, cases []waitCase, wait time.Duration) (late []waitCase) {
	answers := make([]chan Status, len(cases))
	victims := make([]*Victim, len(cases))
	for i := range cases {
		victims[i] = start(t, f)
	}
	begin := make([]time.Time, len(cases))
	borrowed := make([]time.Duration, len(cases)) // after the call began
	for i, c := range cases {
		answers[i] = make(chan Status, 1)
		begin[i] = time.Now()
		go func() {
			line, err := victims[i].Ask(fmt.Sprintf("%s %d", c.call, wait.Milliseconds()))
			s, perr := parseStatus(line)
			if err != nil || perr != nil {
				t.Errorf("%s, %v: %v, %v", c.call, c.signal, err, perr)
			}
			answers[i] <- s
		}()
	}
	time.Sleep(wait / 4)
	for i, c := range cases {
		o := patient
		o.Step = func(step string) {
			if step == "borrow:mmap" && c.signal != 0 {
				if err := unix.Kill(victims[i].PID, c.signal); err != nil {
					t.Error(err)
				}
			}
			borrowed[i] = time.Since(begin[i])
		}
		if _, err := applier.Apply(victims[i].PID, f.Bundle, o); err != nil {
			t.Fatalf("%s, %v: %v", c.call, c.signal, err)
		}
		if c.signal == 0 { // once more, when the kernel goes on with the call already
			revert(t, victims[i], f.Bundle.Manifest.ID)
			apply(t, victims[i], f)
		}
	}
	for i, c := range cases {
		s := <-answers[i]
		took := time.Duration(s.Values["ms"]) * time.Millisecond
		handled := 0
		if c.signal != 0 {
			handled = 1
		}
		name := fmt.Sprintf("%s, signal %d, borrowed after %v: %s", c.call, c.signal, borrowed[i], s.Line)
		if borrowed[i] > wait*3/4 {
			late = append(late, c)
			quit(t, victims[i])
			continue
		}
		if s.Values["errno"] != c.errno || s.Values["handled"] != handled || !c.early && s.Values["version"] != 2 {
			t.Errorf("%s: errno %d, %d signals expected", name, c.errno, handled)
		}
		// Made anew, it would end that much later.
		if !c.early && (took < wait*99/100 || took > wait+borrowed[i]*3/4) || c.early && took > wait*9/10 {
			t.Errorf("%s: not after %v", name, wait)
		}
		wantVersion(t, victims[i], 2)
		quit(t, victims[i])
	}
	return late
}

// TestWaitsKilled kills the tool at each step while it has borrowed the only
// thread of a process: its system call goes on or is made again.
func TestWaitsKilled(t *testing.T) {
	cases := []waitCase{
		{call: "nanosleep"}, {call: "read"}, {call: "masked-ppoll"}, {call: "pause", errno: int(unix.EINTR), early: true},
		{call: "futex", errno: int(unix.ETIMEDOUT)}, {call: "poll"}, {call: "select"},
	}
	if Emulated() {
		cases = cases[:4]
	}
	f := build(t, Recipe{Source: "waits"})
	const steps = 10 // and more, of a borrowed thread
	wait := max(6*time.Second, Slow(4*time.Second))
	kills, checked := 0, 0
	for _, c := range cases {
		var victims [steps]*Victim
		var answers [steps]chan Status
		var killed [steps]time.Duration // after the call began
		for n := range steps {
			v := start(t, f)
			victims[n], answers[n] = v, make(chan Status, 1)
			begin := time.Now()
			go func() {
				line, err := v.Ask(fmt.Sprintf("%s %d", c.call, wait.Milliseconds()))
				s, perr := parseStatus(line)
				if err != nil || perr != nil {
					t.Errorf("%s: %v, %v", c.call, err, perr)
				}
				answers[n] <- s
			}()
			time.Sleep(Slow(20 * time.Millisecond))
			if !tool(t, f, v, "apply", n, nil) {
				t.Fatalf("%s: the tool was not killed at step %d", c.call, n)
			}
			kills++
			killed[n] = time.Since(begin)
		}
		for n := range steps {
			s := <-answers[n]
			took := time.Duration(s.Values["ms"]) * time.Millisecond
			name := fmt.Sprintf("%s, killed at step %d, by %v: %s", c.call, n, killed[n], s.Line)
			if killed[n] < wait {
				checked++
				if s.Values["errno"] != c.errno || s.Values["handled"] != 0 {
					t.Errorf("%s: errno %d expected", name, c.errno)
				}
				if !c.early && (took < wait*99/100 || took > wait+killed[n]+wait/4) {
					t.Errorf("%s: not after %v, or as much later as it was killed", name, wait)
				}
			}
			wantSettledWaits(t, f, victims[n], name)
			quit(t, victims[n])
		}
	}
	t.Logf("killed %d times", kills)
	if checked < kills/2 {
		t.Errorf("only %d of %d kills came in time", checked, kills)
	}
}

// wantSettledWaits wants that the next run tidies up, and patches.
func wantSettledWaits(t *testing.T, f *Fixture, v *Victim, name string) {
	t.Helper()
	if r, err := applier.Apply(v.PID, f.Bundle, patient); err != nil || r.Status != applier.Applied {
		t.Errorf("%s: %+v, %v", name, r, err)
	}
	wantVersion(t, v, 2)
}
