// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/ulpatch/ulpatch/arch"
)

// Revert takes a patch out of a process, by its id, or, with id "", all
// patches. The old functions get back every byte that they had; where an older
// patch of the same function is active, that one has the function again.
// Errors are those of Apply.
func Revert(pid int, id string, opts Options) (*Result, error) {
	o, err := begin(pid, opts.withDefaults())
	if err != nil {
		return nil, err
	}
	defer o.end()
	o.result.ID = id
	if !o.DryRun {
		if err := o.recover(); err != nil {
			return nil, o.fail(pid, StageCommit, err)
		}
	}
	var selected []*record
	for _, r := range o.p.records {
		if r.State == Active && (id == "" || r.ID == id) {
			selected = append(selected, r)
			o.result.Images = append(o.result.Images, target(r))
		}
	}
	if len(selected) == 0 {
		err := fmt.Errorf("%w: no patch is active", ErrNoMatch)
		if id != "" {
			err = fmt.Errorf("%w: no patch %q is active", ErrNoMatch, id)
		}
		return nil, o.fail(pid, StageDiscover, err)
	}
	slices.SortStableFunc(selected, func(a, b *record) int { return cmp.Compare(b.Sequence, a.Sequence) })
	c, zones, err := o.rearrangement(selected, nil)
	if err != nil {
		return nil, o.fail(pid, StagePlan, err)
	}
	if o.DryRun {
		o.list(c)
		o.result.Status = WouldRevert
		return o.result, nil
	}
	if stage, err := o.switchOver(c, zones); err != nil {
		return nil, o.fail(pid, stage, o.stays(c, err))
	}
	o.result.Status = RevertDone
	if err := o.after(c); err != nil {
		return nil, o.fail(pid, StageHooks, fmt.Errorf("the patch is taken back: %w", err))
	}
	o.tidy()
	return o.result, nil
}

// Recover finishes or undoes what was half done when the tool died, and frees
// what it left behind.
func Recover(pid int, opts Options) (*Result, error) {
	o, err := begin(pid, opts.withDefaults())
	if err != nil {
		return nil, err
	}
	defer o.end()
	i := o.interrupted()
	if i.empty() {
		return nil, o.fail(pid, StageDiscover, fmt.Errorf("%w: nothing was interrupted", ErrNoMatch))
	}
	for _, t := range i.finish {
		o.result.Images = append(o.result.Images, target(t.record))
	}
	for _, r := range slices.Concat(i.drop, i.revive, i.staged, i.hooks) {
		o.result.Images = append(o.result.Images, target(r))
	}
	if o.DryRun {
		o.result.Status = WouldRecover
		return o.result, nil
	}
	if err := o.recover(); err != nil {
		return nil, o.fail(pid, StageCommit, err)
	}
	o.result.Status = Recovered
	return o.result, nil
}

// rearrange takes the patches of drop out, and gives those of revive back what
// was theirs, in one commit, without hooks.
func (o *operation) rearrange(drop, revive []*record) error {
	c, zones, err := o.rearrangement(drop, revive)
	if err != nil {
		return err
	}
	return o.commit(c, zones)
}

func (o *operation) rearrangement(drop, revive []*record) (c *commit, zones []zone, err error) {
	c = &commit{}
	for _, r := range drop {
		c.transitions = append(c.transitions, transition{r, Reverting, Reverted, r.Sequence})
		zones = append(zones, r.zone())
	}
	for _, r := range revive {
		c.transitions = append(c.transitions, transition{r, Replacing, Active, r.Sequence})
	}
	c.edits, err = o.handOver(drop, revive, nil)
	return c, zones, err
}

// zone is all code of a patch.
func (r *record) zone() zone {
	start := r.Base + arch.Addr(r.Code.Offset)
	return zone{name: "patch " + r.ID, start: start, end: start + arch.Addr(r.Code.Size)}
}

// handOver plans the edits that give every site of the records of drop and
// revive to whom it belongs once those are dropped and revived. The sites of
// except are left out.
func (o *operation) handOver(drop, revive []*record, except map[arch.Addr]bool) (edits []edit, err error) {
	holds := func(r *record) bool {
		return slices.Contains(revive, r) || (r.State == Active && !slices.Contains(drop, r))
	}
	seen := map[arch.Addr]bool{}
	for _, r := range append(slices.Clone(drop), revive...) {
		for _, s := range r.Sites {
			at := arch.Addr(s.At)
			if seen[at] || except[at] {
				continue
			}
			seen[at] = true
			e, err := handOverSite(o.p.records, o.p.arch, o.p.mem, s, holds)
			if err != nil {
				return nil, err
			}
			if !bytes.Equal(e.old, e.new) {
				edits = append(edits, e)
			}
		}
	}
	return edits, nil
}

// recover finishes or undoes what a tool that died has left half done: jumps
// that it was writing or taking back, memory that nothing leads to, open files.
func (o *operation) recover() error {
	i := o.interrupted()
	if i.empty() {
		return nil
	}
	o.Log.Warn("finishing what was interrupted", "pid", o.p.id.PID)
	o.touched = true
	if len(i.finish) > 0 {
		if err := o.commit(&commit{transitions: i.finish}, nil); err != nil {
			return fmt.Errorf("finish the interrupted change of %s: %w", i.finish[0].record.ID, err)
		}
	}
	if len(i.drop)+len(i.revive) > 0 {
		if err := o.rearrange(i.drop, i.revive); err != nil {
			return fmt.Errorf("undo the interrupted change of %s: %w", append(i.drop, i.revive...)[0].ID, err)
		}
	}
	g, err := findGadgets(&o.p.view, o.p.mem)
	if err != nil {
		return err
	}
	if err := o.unstage(g, o.p.ours(i.staged), i.files); err != nil {
		return fmt.Errorf("free the memory of an interrupted change: %w", err)
	}
	return o.after(nil)
}

// interruption is what a tool that died has left.
type interruption struct {
	// finish are the records of a change whose jumps all stand: the first record
	// of a change becomes active when its last jump was written.
	finish []transition
	// drop and revive are those of a change that is taken back, or that was
	// taking a patch back.
	drop, revive []*record
	staged       []*record
	files        []uint64
	// hooks are the records of which hooks are due.
	hooks []*record
}

func (i *interruption) empty() bool {
	return len(i.finish)+len(i.drop)+len(i.revive)+len(i.staged)+len(i.files)+len(i.hooks) == 0
}

func (o *operation) interrupted() *interruption {
	i := &interruption{files: o.p.leakedFiles()}
	done := map[uint64]bool{} // sequences of changes whose jumps all stand
	replacing := false        // a change that replaces was taken back
	for _, r := range o.p.records {
		if r.State == Active {
			done[r.Sequence] = true
		}
	}
	for _, r := range o.p.records {
		if r.State == Committing && !done[r.Sequence] {
			replacing = true
		}
	}
	for _, r := range o.p.records {
		switch {
		case r.State == Committing && done[r.Sequence]:
			i.finish = append(i.finish, transition{r, Committing, Active, r.Sequence})
		case r.State == Committing, r.State == Reverting:
			i.drop = append(i.drop, r)
		case r.State == Replacing && replacing:
			i.revive = append(i.revive, r)
		case r.State == Replacing:
			i.finish = append(i.finish, transition{r, Replacing, Reverted, r.Sequence})
		case r.State == Staged && r.Phase != 0: // its hooks may run, or have left something
			i.drop = append(i.drop, r)
		case r.State == Staged:
			i.staged = append(i.staged, r)
		}
	}
	i.hooks = o.p.owed()
	return i
}
