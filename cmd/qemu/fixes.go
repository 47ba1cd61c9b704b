// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
	"github.com/ulpatch/ulpatch/cmd/qemu/talk"
)

// imageName is the file name of QEMU in a case's target folder.
const imageName = "qemu-system-x86_64"

// fix is a case: a fix of a released version of QEMU, one object.
type fix struct {
	name, dir string
	bundle    string
	row       row
}

// with names for a case the case that has the other half of the same change of
// QEMU's: what the one calls the other defines. They are built into one bundle.
var with = map[string]string{"kvm-all-7.2.6": "kvm-7.2.6"}

// outcome is how a fix went.
type outcome string

const (
	notTried outcome = ""
	applied  outcome = "applied"
	refused  outcome = "refused" // by the builder or the applier, for a reason
	busy     outcome = "busy"    // a function that changes was on a stack all the time
	failed   outcome = "failed"  // one of the programs; QEMU is as it was
)

// row is a line of the table: how a fix went alone, and how on top of the others.
type row struct {
	Fix     string
	BuildMS float64
	Alone   attempt
	Stacked attempt
}

// attempt is an apply and the revert of it.
type attempt struct {
	Outcome       outcome
	Codes, Reason string
	Paused        bool // applied while the guest was paused by QEMU
	Apply, Revert operation
	// Stall is the longest that the guest did not run between the marks before
	// and after the apply; Load is what it did meanwhile.
	Load talk.Counters
}

// findFixes lists the cases in a corpus's folder of QEMU.
func findFixes(dir string) ([]*fix, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*", "target", imageName))
	if err != nil {
		return nil, err
	}
	var fixes []*fix
	for _, image := range found {
		f := &fix{dir: filepath.Dir(filepath.Dir(image))}
		f.name = filepath.Base(f.dir)
		f.row.Fix = f.name
		fixes = append(fixes, f)
	}
	if len(fixes) == 0 {
		return nil, fmt.Errorf("%s: no fixes", dir)
	}
	return fixes, nil
}

func (f *fix) image() string { return filepath.Join(f.dir, "target", imageName) }

// build makes the bundle of a fix, once.
func (f *fix) build(ctx context.Context, t *tools, scratch string) error {
	if f.bundle != "" {
		return nil
	}
	orig, fixed := filepath.Join(f.dir, "orig"), filepath.Join(f.dir, "fixed")
	if other, ok := with[f.name]; ok {
		both := filepath.Join(scratch, f.name)
		for _, dir := range []string{f.dir, filepath.Join(filepath.Dir(f.dir), other)} {
			for _, side := range []string{"orig", "fixed"} {
				if err := os.CopyFS(filepath.Join(both, side), os.DirFS(filepath.Join(dir, side))); err != nil {
					return err
				}
			}
		}
		orig, fixed = filepath.Join(both, "orig"), filepath.Join(both, "fixed")
	}
	f.bundle = filepath.Join(scratch, f.name+".ulp")
	a, err := t.build(ctx, f.image(), orig, fixed, f.name, f.bundle)
	if err != nil {
		return err
	}
	f.row.BuildMS = float64(a.took.Microseconds()) / 1000
	switch a.exit {
	case ui.Done:
	case ui.Refused, ui.NoMatch:
		f.row.Alone = attempt{Outcome: refused, Codes: a.codes(), Reason: a.reason()}
	default:
		f.row.Alone = attempt{Outcome: failed, Reason: a.reason()}
	}
	return nil
}

// apply tries a fix on a guest under load. An error means that the guest was
// harmed.
func (r *run) apply(ctx context.Context, f *fix) (a attempt, err error) {
	if _, err := r.guest.mark(); err != nil {
		return a, err
	}
	done, err := r.tools.apply(ctx, r.guest.pid(), f.bundle)
	if err != nil {
		return a, err
	}
	return a, r.judge(f, done, &a)
}

// judge fills in what became of an apply.
func (r *run) judge(f *fix, done answer, a *attempt) (err error) {
	a.Apply = done.operation
	a.Load, err = r.guest.mark()
	if err = errors.Join(r.guest.unharmed(), err); err != nil {
		return fmt.Errorf("%s: after the apply: %w", f.name, err)
	}
	switch {
	case done.exit == ui.Done:
		a.Outcome = applied
		return nil
	case done.exit == ui.Unknown:
		return fmt.Errorf("%s: %w", f.name, done.failure())
	case done.exit == ui.Refused:
		a.Outcome = refused
	case done.Status == string(busy):
		a.Outcome = busy
	default:
		a.Outcome = failed
	}
	a.Codes, a.Reason = done.codes(), done.reason()
	return nil
}

// applyPaused is apply while the guest is paused.
func (r *run) applyPaused(ctx context.Context, f *fix) (a attempt, err error) {
	var done answer
	err = r.paused(func(t *tools) (err error) {
		done, err = t.apply(ctx, r.guest.pid(), f.bundle)
		return err
	})
	if err != nil {
		return a, err
	}
	a.Paused = true
	return a, r.judge(f, done, &a)
}

// paused does something while the guest is paused by QEMU, which ends all requests
// first: for functions that some request or other is in all the time.
func (r *run) paused(do func(t *tools) error) error {
	if _, err := r.guest.execute("stop", nil); err != nil {
		return err
	}
	quick := *r.tools
	quick.timeout = pausedTimeout
	err := do(&quick)
	_, cont := r.guest.execute("cont", nil)
	return errors.Join(err, cont)
}

// pausedTimeout is how long an apply to a paused guest may take.
const pausedTimeout = 15 * time.Second

// revert takes a fix back. An error means that the guest was harmed, or that the
// fix is still on.
func (r *run) revert(ctx context.Context, f *fix, a *attempt) error {
	done, err := r.tools.revert(ctx, r.guest.pid(), f.name)
	if err == nil && done.Status == string(busy) {
		err = r.paused(func(t *tools) (err error) {
			done, err = t.revert(ctx, r.guest.pid(), f.name)
			return err
		})
	}
	if err != nil {
		return err
	}
	a.Revert = done.operation
	if _, err := r.guest.mark(); err != nil {
		return fmt.Errorf("%s: after the revert: %w", f.name, err)
	}
	if err := errors.Join(done.failure(), r.guest.unharmed()); err != nil {
		return fmt.Errorf("%s: revert: %w", f.name, err)
	}
	return nil
}

// chosen tells whether a fix is one of those that are to be tried.
func (r *run) chosen(f *fix) bool {
	return r.some == "" || strings.Contains(","+r.some+",", ","+f.name+",")
}

// alone applies and reverts each fix by itself.
func (r *run) alone(ctx context.Context) error {
	for i, f := range r.fixes {
		if !r.chosen(f) {
			continue
		}
		r.progress("alone: %d of %d: %s", i+1, len(r.fixes), f.name)
		if err := f.build(ctx, r.tools, r.bundles()); err != nil {
			return err
		}
		if f.row.Alone.Outcome != notTried {
			r.row(f.row)
			continue
		}
		a, err := r.apply(ctx, f)
		if err == nil && a.Outcome == busy {
			a, err = r.applyPaused(ctx, f)
		}
		if err != nil {
			return err
		}
		if a.Outcome == applied {
			time.Sleep(serve)
			if err := r.revert(ctx, f, &a); err != nil {
				return err
			}
		}
		f.row.Alone = a
		r.row(f.row)
	}
	return r.tidy(ctx)
}

// serve is how long a guest runs with a fix before it is taken back.
const serve = 200 * time.Millisecond

// stacked applies all fixes, one on top of the other, has the guest verify its
// data, and takes them back: every other one first, then the rest.
func (r *run) stacked(ctx context.Context) error {
	var on []*fix
	for i, f := range r.fixes {
		if err := f.build(ctx, r.tools, r.bundles()); err != nil {
			return err
		}
		if !r.chosen(f) || f.row.Alone.Outcome == refused || f.row.Alone.Outcome == failed {
			continue
		}
		r.progress("stacked: apply %d of %d: %s", i+1, len(r.fixes), f.name)
		a, err := r.apply(ctx, f)
		if err == nil && a.Outcome == busy && f.row.Alone.Outcome == applied {
			a, err = r.applyPaused(ctx, f)
		}
		if err != nil {
			return err
		}
		f.row.Stacked = a
		if a.Outcome == applied {
			on = append(on, f)
		}
	}
	r.progress("stacked: %d fixes are on; the guest reads all its data back", len(on))
	if _, err := r.guest.verify(); err != nil {
		return err
	}
	for start := range 2 {
		for i := start; i < len(on); i += 2 {
			r.progress("stacked: revert %s", on[i].name)
			if err := r.revert(ctx, on[i], &on[i].row.Stacked); err != nil {
				return err
			}
		}
	}
	return r.tidy(ctx)
}
