// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Options are an operation's.
type Options struct {
	// Timeout is how long to try; Pause how long the process may be stopped in
	// each try.
	Timeout, Pause time.Duration
	// HookTimeout is how long a hook may take.
	HookTimeout time.Duration
	// DryRun plans and changes nothing.
	DryRun bool
	// AllowDowngrade lets an older version of a patch take the place of a newer.
	AllowDowngrade bool
	Log            *slog.Logger
	// Cancel, once it is closed, ends the waiting between tries: the process is
	// left as it was. A change that is under way is carried out.
	Cancel <-chan struct{}
	// Busy, if set, is told why a try came to nothing, before the next one.
	Busy func(try int, reason error)
	// Step, if set, is called at named points; tests kill the tool there.
	Step func(string)
}

// Defaults of Options.
const (
	DefaultTimeout = 10 * time.Second
	DefaultPause   = 20 * time.Millisecond
	// DefaultHookTimeout is long for what a hook may do.
	DefaultHookTimeout = 10 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Pause <= 0 {
		o.Pause = DefaultPause
	}
	if o.HookTimeout <= 0 {
		o.HookTimeout = DefaultHookTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	if o.Busy == nil {
		o.Busy = func(int, error) {}
	}
	return o
}

// Status is how an operation on a process ended.
type Status string

const (
	Applied        Status = "applied"
	AlreadyApplied Status = "already applied"
	WouldApply     Status = "would apply"
	RevertDone     Status = "reverted"
	WouldRevert    Status = "would revert"
	Purged         Status = "purged"
	Recovered      Status = "recovered"
	WouldRecover   Status = "would recover"
)

// Result is what an operation did to a process.
type Result struct {
	ID     string   `json:"id"`
	PID    int      `json:"pid"`
	Status Status   `json:"status"`
	Images []Target `json:"images"`
	// Pause is how long all threads were stopped for the change, from the first
	// that was asked to stop until the last was let go; Tries how often.
	Pause   time.Duration `json:"-"`
	PauseUS float64       `json:"pause_us"`
	Tries   int           `json:"tries"`
	Threads int           `json:"threads"`
	// Held is how long one thread was borrowed to map memory.
	Held   time.Duration `json:"-"`
	HeldUS float64       `json:"held_us"`
	// SearchedBytes is how much memory was searched for the stacks of coroutines
	// while the process ran, and SearchUS how long that took.
	SearchedBytes uint64  `json:"searched_bytes"`
	SearchUS      float64 `json:"search_us"`
	// Hooks are the hooks that were called, in their order.
	Hooks []HookCall `json:"hooks,omitempty"`
	// Replaced are the patches that gave way to this one.
	Replaced []string `json:"replaced,omitempty"`
	// Kept is reverted code that has to stay in memory for now.
	Kept []Kept `json:"kept,omitempty"`
}

func (r *Result) setPause(d time.Duration) {
	r.Pause, r.PauseUS = d, float64(d.Nanoseconds())/1e3
}

// Target is an image of a process that is patched.
type Target struct {
	Name      string   `json:"name"`
	BuildID   string   `json:"build_id"`
	Base      string   `json:"address"` // of the payload
	Size      uint64   `json:"size"`    // bytes of the payload
	Bundle    string   `json:"bundle"`  // SHA-256 of the payload in its bundle
	Functions []string `json:"functions"`
}

func target(r *record) Target {
	t := Target{
		Name: r.Image.Name, BuildID: r.Image.BuildID,
		Base: fmt.Sprintf("%#x", uint64(r.Base)), Size: r.Size, Bundle: r.Bundle,
	}
	for _, s := range r.Sites {
		t.Functions = append(t.Functions, s.Name)
	}
	return t
}

// operation is one attempt at something on one process.
type operation struct {
	Options
	deadline time.Time
	p        *process
	result   *Result
	unlock   func()
	touched  bool // the process was changed, if only to map memory
}

// lock makes sure that two of us do not work on a process at once. It goes
// with its holder. What it guards is politeness: a commit verifies for itself.
func (o Options) lock(pid int, deadline time.Time) (unlock func(), err error) {
	dir, err := os.Open(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return nil, explainOpen(pid, err)
	}
	for {
		err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { dir.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		if time.Now().After(deadline) {
			err = fmt.Errorf("%w: another ulpatch-apply works on pid %d", ErrBusy, pid)
			break
		}
		if err = o.rest(5 * time.Millisecond); err != nil {
			break
		}
	}
	dir.Close()
	return nil, err
}

// commit stops the process until c could be made, or the deadline has passed.
func (o *operation) commit(c *commit, zones []zone) error {
	if err := o.p.learnMasks(); err != nil {
		return err
	}
	check := newChecker(&o.p.view, o.p.mem, zones)
	check.zones = append(check.zones, c.zones()...)
	stacks := newSuspended(o.p, check)
	defer stacks.close()
	if err := c.verify(o.p.mem); err != nil {
		return err
	}
	// Some kernels let nobody write here who is not attached. Then it costs a
	// little time later.
	_ = c.touch(o.p.mem)
	wait := 2 * time.Millisecond
	var inside *occupied // of the last try that got as far as that
	for {
		o.result.Tries++
		if err := stacks.survey(); err != nil {
			return err
		}
		o.result.SearchedBytes, o.result.SearchUS = stacks.read, float64(stacks.took.Microseconds())
		check.rehearse(o.p.id.PID)
		err := o.try(c, check, stacks)
		if err == nil || !retryable(err) {
			return err
		}
		errors.As(err, &inside)
		if time.Now().Add(wait).After(o.deadline) {
			if inside != nil {
				err = fmt.Errorf("%w: %w", ErrBusy, inside)
			}
			return err
		}
		o.Log.Debug("busy, trying again", "pid", o.p.id.PID, "try", o.result.Tries, "reason", err)
		o.Busy(o.result.Tries, err)
		if err := o.rest(wait); err != nil {
			return err
		}
		wait = min(2*wait, 250*time.Millisecond)
	}
}

// ErrCanceled: Options.Cancel was closed.
var ErrCanceled = errors.New("canceled")

// rest waits before another try.
func (o Options) rest(d time.Duration) error {
	select {
	case <-o.Cancel:
		return ErrCanceled
	case <-time.After(d):
		return nil
	}
}

func retryable(err error) bool {
	var busy *occupied
	return errors.As(err, &busy) || errors.Is(err, ErrBusy)
}

// try stops the process once.
func (o *operation) try(c *commit, check *checker, stacks *suspended) error {
	return onOwnThread(func() error {
		s := newStopper(o.p.id.PID, o.p.arch)
		var phases []any
		phase := func(name string) { phases = append(phases, name, time.Since(s.first)) }
		defer func() {
			s.release()
			if !s.first.IsZero() {
				phase("released")
				o.result.setPause(time.Since(s.first))
				o.Log.Debug("stopped", phases...)
			}
		}()
		limit := time.Now().Add(o.Pause)
		if err := s.stopAll(limit); err != nil {
			return err
		}
		phase("all")
		o.Step("quiesce:stopped")
		if err := s.herd(check, limit); err != nil {
			return err
		}
		phase("outside")
		if err := stacks.search(s.threads); err != nil {
			return err
		}
		phase("searched")
		o.result.Threads = s.alive()
		return c.run(o.p.mem, o.Step)
	})
}

// fail wraps an error with where it happened and what became of the process.
func (o *operation) fail(pid int, stage Stage, err error) error {
	state := Untouched
	var undo *undoError
	var hook *hookError
	switch {
	case errors.As(err, &undo), errors.As(err, &hook):
		state = Unknown
	case o != nil && o.touched:
		state = Restored
	}
	return &Error{pid, stage, state, err}
}
