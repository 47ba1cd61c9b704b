// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
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
	var free []*record
	for _, r := range o.p.records {
		if r.State != Reverted {
			continue
		}
		if why := o.referred(r); why != nil {
			o.result.Kept = append(o.result.Kept, Kept{r.ID, why.Error()})
			continue
		}
		free = append(free, r)
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

// referred returns what refers to a reverted patch, or nil. Most of the memory
// is searched while the process runs, to find a reference without a stop; only
// if there is none it is stopped and searched again, for then nothing moves.
func (o *operation) referred(r *record) error {
	if err := o.p.learnMasks(); err != nil {
		return err
	}
	s := scan.Open(o.p.live, o.p.mem)
	s.Ignore = o.p.signature()
	defer s.Close()
	start := time.Now()
	if err := o.searchFor(r, s, time.Time{}); err != nil {
		return err
	}
	if took := time.Since(start); took > o.Pause {
		return fmt.Errorf("searching its memory takes %v, more than the process may be stopped", took.Round(time.Millisecond))
	}
	return onOwnThread(func() error {
		st := newStopper(o.p.id.PID, o.p.arch)
		defer st.release()
		limit := time.Now().Add(o.Pause)
		if err := st.stopAll(limit); err != nil {
			return err
		}
		for _, t := range st.threads {
			if !t.gone {
				if err := o.registersRefer(r, t); err != nil {
					return err
				}
			}
		}
		maps, err := proc.ReadMaps(o.p.live)
		if err != nil {
			return err
		}
		o.p.maps = maps
		return o.searchFor(r, s, limit)
	})
}

var errFound = errors.New("found")

// searchFor looks for a word in writable memory that points into a patch. The
// patch's own variables do not count.
func (o *operation) searchFor(r *record, s *scan.Scanner, limit time.Time) error {
	lo, hi := r.bounds()
	regions := scan.Writable(o.p.maps, func(m proc.Mapping) bool {
		return !(strings.HasPrefix(m.Path, memfdPrefix) && m.Start >= lo && m.End <= hi)
	})
	for _, region := range regions {
		if !limit.IsZero() && time.Now().After(limit) {
			return errDeadline
		}
		var at, word arch.Addr
		found := false
		_, err := s.Words(region, []scan.Span{{Lo: lo, Hi: hi}}, func(a, w arch.Addr) bool {
			at, word, found = a, w, true
			return false
		})
		if err != nil {
			return err
		}
		if found {
			return fmt.Errorf("%w: the word at %#x refers to %#x in it", errFound, uint64(at), uint64(word))
		}
	}
	return nil
}

func (o *operation) registersRefer(r *record, t *thread) error {
	lo, hi := r.bounds()
	a := o.p.arch
	vector, err := t.vectorState(a)
	if err != nil {
		return err
	}
	for _, set := range [][]byte{t.regs, vector} {
		for off := 0; off+8 <= len(set); off += 8 {
			if v := o.p.strip(arch.Addr(binary.LittleEndian.Uint64(set[off:]))); lo <= v && v < hi {
				return fmt.Errorf("%w: a register of thread %d refers to %#x in it", errFound, t.TID, uint64(v))
			}
		}
	}
	return nil
}
