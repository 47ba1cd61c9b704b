// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/hint"
	"github.com/ulpatch/ulpatch/format/payload"
)

// replans is how often a plan is made anew when the process changes under it.
const replans = 8

// Apply installs a verified bundle in a running process: all of its payloads
// whose images the process runs, or nothing. An error is an *Error that says
// what became of the process; it wraps ErrNoMatch, ErrRefused, ErrBusy, or what
// went wrong.
func Apply(pid int, b *format.Bundle, opts Options) (*Result, error) {
	o, err := begin(pid, opts.withDefaults())
	if err != nil {
		return nil, err
	}
	defer o.end()
	o.result.ID = b.Manifest.ID
	for attempt := 1; ; attempt++ {
		stage, err := o.applyOnce(b)
		if err == nil {
			return o.result, nil
		}
		again := errors.Is(err, errChanged) || errors.Is(err, unix.EEXIST)
		var undo *undoError
		if !again || attempt == replans || errors.As(err, &undo) || time.Now().After(o.deadline) {
			return nil, o.fail(pid, stage, err)
		}
		o.Log.Debug("the process has changed, planning anew", "pid", pid, "reason", err)
		if err := o.p.look(); err != nil {
			return nil, o.fail(pid, StageDiscover, err)
		}
	}
}

// begin opens a process and makes sure that nobody else of us works on it.
func begin(pid int, opts Options) (*operation, error) {
	o := &operation{Options: opts, deadline: time.Now().Add(opts.Timeout), result: &Result{PID: pid}}
	unlock, err := o.lock(pid, o.deadline)
	if err != nil {
		return nil, o.fail(pid, StageDiscover, err)
	}
	if o.p, err = open(pid); err != nil {
		unlock()
		return nil, o.fail(pid, StageDiscover, err)
	}
	o.unlock = unlock
	return o, nil
}

func (o *operation) end() {
	o.p.close()
	o.unlock()
}

func (o *operation) applyOnce(b *format.Bundle) (Stage, error) {
	sources, err := o.sources(b)
	if err != nil {
		return StageDiscover, err
	}
	if o.result.Status == AlreadyApplied {
		return "", nil
	}
	if !o.DryRun {
		if err := o.recover(); err != nil {
			return StageCommit, err
		}
	}
	pl, err := makePlan(&o.p.view, o.p.mem, b.Manifest, sources)
	if err != nil {
		return StagePlan, err
	}
	gadgets, err := findGadgets(&o.p.view, o.p.mem)
	if err != nil {
		return StagePlan, err
	}
	c, zones, err := o.change(pl, b.Manifest)
	if err != nil {
		return StagePlan, err
	}
	o.result.Images = nil
	for _, part := range pl.parts {
		o.result.Images = append(o.result.Images, target(part.record))
	}
	if o.DryRun {
		o.list(c)
		o.result.Status = WouldApply
		return "", nil
	}

	if err := o.stage(gadgets, pl); err != nil {
		return StageStage, err
	}
	o.Step("staged")
	if stage, err := o.switchOver(c, zones); err != nil {
		var undo *undoError
		var hook *hookError
		if errors.As(err, &undo) || errors.As(err, &hook) {
			return stage, err
		}
		if uerr := o.withdraw(gadgets, pl, c); uerr != nil && o.p.id.Alive() {
			err = &undoError{err, uerr}
		}
		return stage, err
	}
	o.result.Status = Applied
	if err := o.after(c); err != nil {
		return StageHooks, fmt.Errorf("the patch is active: %w", err)
	}
	if len(o.result.Replaced) > 0 {
		o.tidy()
	}
	return "", nil
}

// stage maps a plan's parts, as soon as a thread can be borrowed for it.
func (o *operation) stage(g gadgets, pl *plan) error {
	return o.insist(o.deadline, o.rest, func() error {
		held, err := stage(o.p, g, pl, o.Step)
		o.result.Held, o.result.HeldUS = held, float64(held.Nanoseconds())/1e3
		o.touched = o.touched || !errors.Is(err, ErrBusy)
		return err
	})
}

// cleanTimeout is how long to try to free what was mapped, when the time for the
// operation itself is up.
const cleanTimeout = 5 * time.Second

// unstage unmaps memory of ours, and closes files, as soon as a thread can be
// borrowed for it.
func (o *operation) unstage(g gadgets, regions []region, files []uint64) error {
	until := time.Now().Add(cleanTimeout)
	if o.deadline.After(until) {
		until = o.deadline
	}
	rest := func(d time.Duration) error { time.Sleep(d); return nil } // whatever is canceled
	return o.insist(until, rest, func() error { return unstage(o.p, g, regions, files, o.Step) })
}

// insist repeats what needs a thread to be borrowed until one could be.
func (o *operation) insist(until time.Time, rest func(time.Duration) error, f func() error) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		err := f()
		if !errors.Is(err, ErrBusy) || time.Now().Add(wait).After(until) {
			return err
		}
		o.Log.Debug("no thread can be borrowed, trying again", "pid", o.p.id.PID, "reason", err)
		if err := rest(wait); err != nil {
			return err
		}
	}
}

// change is the commit of a plan, with the patches that it replaces: those that
// the manifest names, and other versions of itself: newer ones too, for that is
// a downgrade, which active has refused or was told to allow.
func (o *operation) change(pl *plan, m format.Manifest) (*commit, []zone, error) {
	c := &commit{edits: pl.edits}
	zones := pl.quiet
	sequence := nextSequence(o.p.records)
	mine := map[arch.Addr]bool{}
	for _, part := range pl.parts {
		c.transitions = append(c.transitions, transition{part.record, Committing, Active, sequence})
		for _, s := range part.record.Sites {
			mine[arch.Addr(s.At)] = true
		}
	}
	var old []*record
	for _, r := range o.p.records {
		if r.State == Active && (slices.Contains(m.Replaces, r.ID) || (r.ID == m.ID && r.Version != m.Version)) {
			old = append(old, r)
			zones = append(zones, r.zone())
			c.transitions = append(c.transitions, transition{r, Replacing, Reverted, r.Sequence})
			if !slices.Contains(o.result.Replaced, r.ID) {
				o.result.Replaced = append(o.result.Replaced, r.ID)
			}
		}
	}
	back, err := o.handOver(old, nil, mine)
	c.edits = append(c.edits, back...)
	return c, zones, err
}

func staged(pl *plan) []region {
	var regions []region
	for _, part := range pl.parts {
		regions = append(regions, region{part.image.Base, part.layout.Size})
	}
	return regions
}

// sources reads the payloads for the images that the process runs, without
// those that are active in it already.
func (o *operation) sources(b *format.Bundle) (map[string]source, error) {
	sources := map[string]source{}
	matched := false
	for i, info := range b.Manifest.Payloads {
		for _, m := range o.p.modules {
			if m.BuildID != info.Image.BuildID || m.Machine != o.p.arch.Machine {
				continue
			}
			matched = true
			active, err := o.active(b.Manifest, info, m.Bias)
			if err != nil {
				return nil, err
			}
			if active {
				continue
			}
			if _, ok := sources[m.BuildID]; ok {
				continue
			}
			f, err := payload.FromBundle(b, i)
			if err != nil {
				return nil, err
			}
			sources[m.BuildID] = source{f, info.Digest}
		}
	}
	switch {
	case !matched:
		return nil, hint.With(fmt.Errorf("%w: the process runs none of the images that %s is for", ErrNoMatch, b.Manifest.ID),
			"ulpatch-build inspect shows their build-ids; readelf -n shows a file's")
	case len(sources) == 0:
		o.result.Status = AlreadyApplied
	}
	return sources, nil
}

// active tells whether a payload is active in a module. An older version of the
// patch is replaced; a newer one, in whichever image, or another build of this
// one, is a refusal.
func (o *operation) active(m format.Manifest, info format.PayloadInfo, bias arch.Addr) (bool, error) {
	for _, r := range o.p.records {
		if r.State != Active || r.ID != m.ID {
			continue
		}
		here := r.Image.BuildID == info.Image.BuildID && arch.Addr(r.Bias) == bias
		switch {
		case here && r.Bundle == info.Digest:
			o.result.Images = append(o.result.Images, target(r))
			return true, nil
		case r.Version > m.Version && !o.AllowDowngrade:
			return false, hint.With(refused("version %d of %s is active, and this is version %d", r.Version, m.ID, m.Version), "--allow-downgrade goes back to it")
		case here && r.Version == m.Version:
			return false, hint.With(refused("another build of version %d of %s is active in the process", r.Version, m.ID), "revert it first")
		}
	}
	return false, nil
}
