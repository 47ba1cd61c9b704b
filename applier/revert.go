// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"fmt"

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
	if o.DryRun {
		o.result.Status = WouldRevert
		return o.result, nil
	}
	if err := o.revertRecords(selected); err != nil {
		return nil, o.fail(pid, StageQuiesce, err)
	}
	o.result.Status = RevertDone
	// What was reverted is freed where that can be done safely right now; if not,
	// it costs some memory and no more.
	images := o.result.Images
	if err := o.purge(); err != nil {
		o.Log.Debug("the reverted code stays in memory", "pid", pid, "reason", err)
	}
	o.result.Images = images
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
	half, leftover, files := o.interrupted()
	if len(half)+len(leftover)+len(files) == 0 {
		return nil, o.fail(pid, StageDiscover, fmt.Errorf("%w: nothing was interrupted", ErrNoMatch))
	}
	for _, r := range append(half, leftover...) {
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

// revertRecords takes patches out in one commit.
func (o *operation) revertRecords(selected []*record) error {
	skip := map[*record]bool{}
	for _, r := range selected {
		skip[r] = true
	}
	c := &commit{}
	var zones []zone
	done := map[arch.Addr]bool{}
	for _, r := range selected {
		c.transitions = append(c.transitions, transition{r, Reverting, Reverted, r.Sequence})
		start := r.Base + arch.Addr(r.Code.Offset)
		zones = append(zones, zone{name: "patch " + r.ID, start: start, end: start + arch.Addr(r.Code.Size)})
		for _, s := range r.Sites {
			if at := arch.Addr(s.At); !done[at] {
				done[at] = true
				e, change, err := o.backEdit(r, s, skip)
				if err != nil {
					return err
				}
				if change {
					c.edits = append(c.edits, e)
				}
			}
		}
	}
	return o.commit(c, zones)
}

// backEdit is the edit that gives a site to whom it belongs without the records
// of skip. change is false where it has it.
func (o *operation) backEdit(r *record, s recordSite, skip map[*record]bool) (e edit, change bool, err error) {
	at := arch.Addr(s.At)
	e = edit{name: s.Name, at: at, new: s.Pristine, old: make([]byte, len(s.Pristine))}
	if heir, site := owner(o.p.records, at, skip); heir != nil {
		if e.new, err = heir.jump(o.p.arch, site); err != nil {
			return e, false, err
		}
	}
	if err := o.p.mem.Read(at, e.old); err != nil {
		return e, false, err
	}
	if bytes.Equal(e.old, e.new) {
		return e, false, nil
	}
	// Only bytes that are ours are replaced.
	for other := range skip {
		for _, os := range other.Sites {
			if jump, err := other.jump(o.p.arch, os); err == nil && arch.Addr(os.At) == at && bytes.Equal(e.old, jump) {
				return e, true, nil
			}
		}
	}
	return e, false, refused("function %s: % x at %#x is neither the patch's jump nor what was there before", s.Name, e.old, uint64(at))
}

// recover undoes what a tool that died has left half done: jumps that it was
// writing or taking back, memory that nothing leads to, open files.
func (o *operation) recover() error {
	half, leftover, files := o.interrupted()
	if len(half)+len(leftover)+len(files) == 0 {
		return nil
	}
	o.Log.Warn("undoing what was interrupted", "pid", o.p.id.PID)
	o.touched = true
	if len(half) > 0 {
		if err := o.revertRecords(half); err != nil {
			return fmt.Errorf("undo the interrupted change of %s: %w", half[0].ID, err)
		}
	}
	g, err := findGadgets(&o.p.view, o.p.mem)
	if err != nil {
		return err
	}
	if err := unstage(o.p, g, o.p.ours(leftover), files, o.Step); err != nil {
		return fmt.Errorf("free the memory of an interrupted change: %w", err)
	}
	return o.p.look()
}

// interrupted finds what a tool that died has left half done: records whose
// jumps may stand, records that nothing leads to, and open files.
func (o *operation) interrupted() (half, leftover []*record, files []uint64) {
	for _, r := range o.p.records {
		switch r.State {
		case Committing, Reverting:
			half = append(half, r)
		case Staged:
			leftover = append(leftover, r)
		}
	}
	return half, leftover, o.p.leakedFiles()
}
