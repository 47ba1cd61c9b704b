// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
)

// An outcome is how a case went.
type outcome string

const (
	built   outcome = "built"   // with -prepare: there is a bundle
	applied outcome = "applied" // applied, served, reverted, served, ended as it should
	refused outcome = "refused" // not applied, for a reason; the process is as it was
	busy    outcome = "busy"    // a changed function stayed on a stack until the deadline
	started outcome = "started" // with -n: started, served, ended as it should
	notRun  outcome = "not run" // the image could not be started here
	failed  outcome = "failed"  // one of our programs failed; the process is as it was
	harm    outcome = "HARM"    // a process died or misbehaved
)

// result is one line of the report.
type result struct {
	Case      string  `json:"case"`
	Package   string  `json:"package"`
	Flavour   string  `json:"flavour"`
	Outcome   outcome `json:"outcome"`
	Stage     string  `json:"stage,omitempty"` // where a case that was not applied ended
	Codes     string  `json:"codes,omitempty"` // names of the reasons of a refusal
	Reason    string  `json:"reason,omitempty"`
	BuildMS   float64 `json:"build_ms,omitempty"`
	Bytes     int64   `json:"bundle_bytes,omitempty"`
	Processes int     `json:"processes,omitempty"` // that were patched
	PauseUS   float64 `json:"pause_us,omitempty"`  // the longest of them
	SlowestMS float64 `json:"slowest_ms,omitempty"`
	Check     string  `json:"check,omitempty"` // answers before, while patched and after
	Seconds   float64 `json:"seconds"`
}

// verdictError ends a case early with an outcome.
type verdictError struct {
	outcome      outcome
	stage, codes string
	err          error
}

func (v *verdictError) Error() string { return v.err.Error() }
func (v *verdictError) Unwrap() error { return v.err }

func ended(o outcome, stage string, err error) error {
	return &verdictError{outcome: o, stage: stage, err: err}
}

// cycle is one case being run.
type cycle struct {
	*shared
	testCase
	result    *result
	dir       string
	bundle    string
	instances []*instance
	watch     *watch
	question  ask // nil: there is no check for this case
	answers   []string
}

// run brings a case through its whole life.
func run(ctx context.Context, s *shared, c testCase, startOnly bool) result {
	k := newCycle(s, c, applied)
	if startOnly {
		k.result.Outcome = started
	}
	begun := time.Now()
	err := k.all(ctx, startOnly)
	for _, one := range slices.Backward(k.instances) {
		one.daemon.kill()
	}
	r := k.conclude(begun, err)
	if !startOnly {
		r.compare(c.expected)
	}
	return r
}

// compare turns an outcome that was not to be into a failure.
func (r *result) compare(expected outcome) {
	if expected == "" || expected == r.Outcome || r.Outcome == failed || r.Outcome == harm {
		return
	}
	r.Reason = strings.TrimSuffix(fmt.Sprintf("%s, not %s: %s", r.Outcome, expected, r.Reason), ": ")
	r.Outcome = failed
}

func newCycle(s *shared, c testCase, goal outcome) *cycle {
	return &cycle{
		shared: s, testCase: c,
		result: &result{Case: c.String(), Package: c.pkg, Flavour: c.flavour, Outcome: goal},
	}
}

func (k *cycle) conclude(begun time.Time, err error) result {
	r := k.result
	var early *verdictError
	switch {
	case errors.As(err, &early):
		r.Outcome, r.Stage, r.Codes, r.Reason = early.outcome, early.stage, early.codes, err.Error()
	case err != nil:
		r.Outcome, r.Reason = failed, err.Error()
	}
	r.Check = strings.Join(k.answers, " ")
	r.Seconds = time.Since(begun).Seconds()
	return *r
}

func (k *cycle) all(ctx context.Context, startOnly bool) (err error) {
	k.dir = filepath.Join(k.scratch, "run", strings.ReplaceAll(k.String(), "/", "_"))
	k.bundle = filepath.Join(k.dir, "fix.ulp")
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		return err
	}
	if !startOnly {
		if err := k.haveBundle(ctx); err != nil {
			return err
		}
	}
	if err := k.startInstances(ctx); err != nil {
		return ended(notRun, "start", err)
	}
	k.watch = startWatch(k.instances)
	if err = k.serving(); err != nil {
		err = ended(notRun, "serve", err)
	} else if err = k.check(vulnerable); err != nil {
		err = ended(notRun, "check", err)
	} else if startOnly {
		err = k.steps(ctx)
	} else {
		err = k.applyAndRevert(ctx)
	}
	slowest, wrong := k.watch.end()
	k.result.SlowestMS = float64(slowest.Microseconds()) / 1000
	if wrong != nil {
		return ended(harm, "serve", errors.Join(wrong, err))
	}
	var early *verdictError
	if errors.As(err, &early) && early.outcome == harm {
		return err
	}
	for _, one := range slices.Backward(k.instances) {
		if end := one.stop(); end != nil {
			return ended(harm, "end", errors.Join(end, err))
		}
	}
	return err
}

// haveBundle takes the bundle that was prepared, or makes one.
func (k *cycle) haveBundle(ctx context.Context) error {
	if k.prepared() {
		return k.takePrepared()
	}
	return k.buildBundle(ctx)
}

func (k *cycle) buildBundle(ctx context.Context) error {
	built, err := k.build(ctx, k.testCase, k.bundle)
	k.result.BuildMS = float64(built.took.Microseconds()) / 1000
	if err != nil {
		return ended(failed, "build", err)
	}
	if built.exit == ui.Refused || built.exit == ui.NoMatch {
		return &verdictError{refused, "build", built.codes(), errors.New(built.reason())}
	}
	if built.exit != ui.Done || built.crashed() {
		return ended(failed, "build", errors.New(built.reason()))
	}
	info, err := os.Stat(k.bundle)
	if err != nil {
		return ended(failed, "build", err)
	}
	k.result.Bytes = info.Size()
	verified, err := k.verify(ctx, k.bundle)
	if err == nil && verified.exit != ui.Done {
		err = errors.New(verified.reason())
	}
	if err != nil {
		return ended(failed, "verify", err)
	}
	return nil
}

func (k *cycle) startInstances(ctx context.Context) (err error) {
	if k.instances, err = startAll(ctx, k.testCase, k.dir, k.shared); err != nil {
		return err
	}
	k.question = checkFor(k.testCase, k.instances)
	return nil
}

// serving waits until every instance has answered again.
func (k *cycle) serving() error { return k.watch.serving(len(k.instances)) }

// check asks whether the bug is there, and wants the given answer.
func (k *cycle) check(want string) error {
	if k.question == nil {
		return nil
	}
	var got string
	var err error
	k.watch.aside(func() { got, err = k.question() })
	if err != nil {
		return err
	}
	k.answers = append(k.answers, got)
	if got != want {
		return fmt.Errorf("the check says %s, and should say %s", got, want)
	}
	return nil
}

func (k *cycle) steps(ctx context.Context) error {
	for _, one := range k.instances {
		if one.step == nil {
			continue
		}
		if err := one.step(ctx); err != nil {
			return ended(harm, "step", err)
		}
	}
	return nil
}
