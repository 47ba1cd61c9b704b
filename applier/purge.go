// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/scan"
	"github.com/ulpatch/ulpatch/arch"
)

// Purge frees the memory of reverted patches to which nothing in the process
// refers any more: no register of any thread, no frame, no word of writable
// memory. What is still referred to stays, and is reported in the result.
func Purge(pid int, opts Options) (*Result, error) {
	o, err := begin(pid, opts.withDefaults())
	if err != nil {
		return nil, err
	}
	defer o.end()
	if !o.DryRun {
		if err := o.recover(); err != nil {
			return nil, o.fail(pid, StageCommit, err)
		}
	}
	if err := o.purge(); err != nil {
		return nil, o.fail(pid, StageStage, err)
	}
	o.result.Status = Purged
	if len(o.result.Images) == 0 && len(o.result.Kept) == 0 {
		return nil, o.fail(pid, StageDiscover, fmt.Errorf("%w: no reverted patch is left in memory", ErrNoMatch))
	}
	return o.result, nil
}

// Kept says why the memory of a reverted patch was not freed.
type Kept struct {
	ID  string `json:"id"`
	Why string `json:"why"`
}

// tidy frees what was reverted where that can be done safely right now; if not,
// it costs some memory and no more.
func (o *operation) tidy() {
	report := *o.result
	if err := o.p.look(); err == nil {
		err = o.purge()
		if err != nil {
			o.Log.Debug("reverted code stays in memory", "pid", o.p.id.PID, "reason", err)
		}
	}
	report.Kept = o.result.Kept
	*o.result = report
}

// purge frees what can be shown to be free.
func (o *operation) purge() error {
	why := o.referred(func(r *record) bool { return r.State == Reverted })
	var free []*record
	for _, r := range o.p.records {
		if reason, reverted := why[r]; reason != nil {
			o.result.Kept = append(o.result.Kept, Kept{r.ID, reason.Error()})
		} else if reverted {
			free = append(free, r)
		}
	}
	if len(free) == 0 || o.DryRun {
		return nil
	}
	g, err := findGadgets(&o.p.view, o.p.mem)
	if err != nil {
		return err
	}
	for _, r := range free {
		o.result.Images = append(o.result.Images, target(r))
	}
	if err := o.unstage(g, o.p.ours(free), nil); err != nil {
		return err
	}
	o.touched = true
	return o.p.look()
}

// referred returns, for each record that is chosen, what refers to it, or nil.
// Most of the memory is searched while the process runs, to find references
// without a stop; only if there is a record without any it is stopped and searched
// again, for then nothing moves.
func (o *operation) referred(chosen func(*record) bool) map[*record]error {
	why := map[*record]error{}
	for _, r := range o.p.records {
		if chosen(r) {
			why[r] = nil
		}
	}
	free := func() bool {
		return slices.Contains(slices.Collect(maps.Values(why)), nil)
	}
	if !free() {
		return why
	}
	keep := func(err error) {
		for r, reason := range why {
			if reason == nil {
				why[r] = err
			}
		}
	}
	if err := o.p.learnMasks(); err != nil {
		keep(err)
		return why
	}
	s := scan.Open(o.p.live, o.p.mem)
	s.Ignore = o.p.signature()
	defer s.Close()
	err := o.searchFor(why, s, time.Now().Add(o.Pause))
	if errors.Is(err, errDeadline) {
		err = fmt.Errorf("searching its memory takes longer than %v, for which the process may be stopped", o.Pause)
	}
	if err == nil && free() {
		err = o.stoppedSearch(why, s)
	}
	if err != nil {
		keep(err)
	}
	return why
}

// stoppedSearch looks for references in all registers and all memory, with the
// process stopped.
func (o *operation) stoppedSearch(why map[*record]error, s *scan.Scanner) error {
	return onOwnThread(func() error {
		st := newStopper(o.p.id.PID, o.p.arch)
		defer st.release()
		limit := time.Now().Add(o.Pause)
		if err := st.stopAll(limit); err != nil {
			return err
		}
		for _, t := range st.threads {
			if t.gone {
				continue
			}
			if err := o.registersRefer(why, t); err != nil {
				return err
			}
		}
		maps, err := proc.ReadMaps(o.p.live)
		if err != nil {
			return err
		}
		o.p.maps = maps
		return o.searchFor(why, s, limit)
	})
}

var errFound = errors.New("found")

// searchStep is how much is searched before the time is looked at.
const searchStep = arch.Addr(4 << 20) // bytes

// searchFor looks for words in writable memory that point into patches of which no
// reference is known yet. A patch's own variables do not count.
func (o *operation) searchFor(why map[*record]error, s *scan.Scanner, limit time.Time) error {
	var spans []scan.Span // they lie close together: one is searched for as fast as many
	for r, reason := range why {
		if lo, hi := r.bounds(); reason == nil {
			spans = extend(extend(spans, lo), hi-1)
		}
	}
	for _, region := range scan.Writable(o.p.maps, func(proc.Mapping) bool { return true }) {
		for at := region.Start; at < region.End; at += searchStep {
			if time.Now().After(limit) {
				return errDeadline
			}
			part := scan.Region{Start: at, End: min(at+searchStep, region.End)}
			_, err := s.Words(part, spans, func(at, word arch.Addr) bool {
				refers(why, word, at, func() string { return fmt.Sprintf("the word at %#x", uint64(at)) })
				return true
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// refers notes that a value refers to a patch, if it does, and was not found
// within that.
func refers(why map[*record]error, value, at arch.Addr, where func() string) {
	for r, reason := range why {
		lo, hi := r.bounds()
		if reason == nil && lo <= value && value < hi && !(lo <= at && at < hi) {
			why[r] = fmt.Errorf("%w: %s refers to %#x in it", errFound, where(), uint64(value))
		}
	}
}

func (o *operation) registersRefer(why map[*record]error, t *thread) error {
	vector, err := t.vectorState(o.p.arch)
	if err != nil {
		return err
	}
	for _, set := range [][]byte{t.regs, vector} {
		for off := 0; off+8 <= len(set); off += 8 {
			value := o.p.strip(arch.Addr(binary.LittleEndian.Uint64(set[off:])))
			refers(why, value, 0, func() string { return fmt.Sprintf("a register of thread %d", t.TID) })
		}
	}
	return nil
}
