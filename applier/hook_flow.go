// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/hint"
)

// hookError: hooks were not called as they have to be, and it could not be made
// good: what they were to do may be done, half done or not done.
type hookError struct{ cause error }

func (e *hookError) Error() string { return e.cause.Error() }
func (e *hookError) Unwrap() error { return e.cause }

// switchOver makes a change, with the hooks that come before it.
func (o *operation) switchOver(c *commit, zones []zone) (Stage, error) {
	if err := o.before(c); err != nil {
		return StageHooks, err
	}
	err := o.commit(c, zones)
	var undo *undoError
	if errors.As(err, &undo) {
		return StageCommit, err
	}
	return StageQuiesce, err
}

// before calls the hooks that come before a change. An error that is no
// *hookError is a reason not to make it.
func (o *operation) before(c *commit) error {
	for _, t := range c.transitions {
		stage := format.PreRevert
		if t.after == Active {
			stage = format.PreApply
		}
		if err := o.callHooks(t.record, stage); err != nil {
			return err
		}
	}
	return nil
}

// after calls the hooks that are due since a change was made, or was not. c is the
// change, or nil where it is not known.
func (o *operation) after(c *commit) error {
	hooked := func(t transition) bool { return len(t.record.Hooks) > 0 }
	if c != nil && !slices.ContainsFunc(c.transitions, hooked) {
		return nil
	}
	err := o.p.look()
	if err == nil {
		err = o.settle()
	}
	var already *hookError
	if err == nil || errors.As(err, &already) {
		return err
	}
	return &hookError{hint.With(fmt.Errorf("hooks that are due were not called: %w", err), "ulpatch-apply recover calls them")}
}

// stays calls the hooks that go with a revert that was not made.
func (o *operation) stays(c *commit, err error) error {
	var undo *undoError
	var hook *hookError
	if errors.As(err, &undo) || errors.As(err, &hook) {
		return err
	}
	if aerr := o.after(c); aerr != nil && o.p.id.Alive() {
		return &undoError{err, aerr}
	}
	return err
}

// withdraw takes out what was staged for a change that was not made, and calls the
// hooks that go with that.
func (o *operation) withdraw(g gadgets, pl *plan, c *commit) error {
	called := slices.ContainsFunc(pl.parts, func(p *part) bool { return p.record.Phase != 0 })
	if !called {
		if err := o.unstage(g, staged(pl), nil); err != nil {
			return err
		}
	}
	for _, part := range pl.parts {
		if r := part.record; called {
			if err := r.set(o.p.mem, Reverted, r.Sequence); err != nil {
				return err
			}
		}
	}
	if err := o.after(c); err != nil {
		return err
	}
	if called {
		o.tidy() // hooks may have left pointers to it
	}
	return nil
}

// list notes the hooks that a change would call, in their order.
func (o *operation) list(c *commit) {
	add := func(comes bool, stage format.HookStage) {
		for _, t := range c.transitions {
			for _, h := range t.record.hooksOf(stage) {
				if comes == (t.after == Active) {
					o.result.Hooks = append(o.result.Hooks, HookCall{Patch: t.record.ID, Image: t.record.Image.Name, Stage: stage, Name: h.Name})
				}
			}
		}
	}
	add(true, format.PreApply)
	add(false, format.PreRevert)
	add(false, format.PostRevert)
	add(true, format.PostApply)
}
