// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/arch"
)

// memory is the memory of a process that may be written.
type memory interface {
	module.Memory
	// Write stores p at addr, past page protections, and reads it back.
	Write(addr arch.Addr, p []byte) error
}

// transition is what becomes of a record in a commit.
type transition struct {
	record        *record
	during, after RecordState
	sequence      uint64
}

// commit is a set of edits that are made all or none, while every thread of the
// process is stopped.
type commit struct {
	edits       []edit
	transitions []transition
}

// zones are the bytes that the edits replace. A thread may stand before them,
// but not among them: behind the landing pad of a patch that is taken back, say.
func (c *commit) zones() []zone {
	var zones []zone
	for _, e := range c.edits {
		zones = append(zones, zone{e.name, e.at, e.at + arch.Addr(len(e.old)), [2]arch.Addr{e.at, e.at}})
	}
	return zones
}

// errChanged: the process is not as it was when the plan was made.
var errChanged = errors.New("the process has changed meanwhile")

// verify makes sure that the process still is what the commit was planned for.
func (c *commit) verify(mem memory) error {
	for _, t := range c.transitions {
		if err := t.record.verify(mem); err != nil {
			return err
		}
	}
	for _, e := range c.edits {
		live := make([]byte, len(e.old))
		if err := mem.Read(e.at, live); err != nil {
			return err
		}
		if !bytes.Equal(live, e.old) {
			return fmt.Errorf("%w: function %s: % x at %#x instead of % x", errChanged, e.name, live, uint64(e.at), e.old)
		}
	}
	return nil
}

// touch writes to each page that the commit will write to what is there already,
// so that the kernel makes the process's own copy of it before the stop.
func (c *commit) touch(mem memory) error {
	for _, e := range c.edits {
		for _, at := range []arch.Addr{e.at, e.at + arch.Addr(len(e.old)) - 1} {
			var b [1]byte
			if err := mem.Read(at, b[:]); err != nil {
				return err
			}
			if err := mem.Write(at, b[:]); err != nil {
				return err
			}
		}
	}
	for _, t := range c.transitions {
		if err := t.record.set(mem, t.record.State, t.record.Sequence); err != nil {
			return err
		}
	}
	return nil
}

// verify makes sure that the record is in memory where it was put or found.
func (r *record) verify(mem module.Memory) error {
	want := r.bytes()
	have := make([]byte, len(want))
	if err := mem.Read(r.Base, have); err != nil {
		return fmt.Errorf("%w: record of %s: %w", errChanged, r.ID, err)
	}
	if !bytes.Equal(have, want) {
		return fmt.Errorf("%w: record of %s", errChanged, r.ID)
	}
	return nil
}

func (r *record) set(mem memory, state RecordState, sequence uint64) error {
	var words [16]byte
	binary.LittleEndian.PutUint64(words[:], uint64(state))
	binary.LittleEndian.PutUint64(words[8:], sequence)
	if err := mem.Write(r.Base+recordState, words[:]); err != nil {
		return err
	}
	r.State, r.Sequence = state, sequence
	return nil
}

// undoError says that a commit went wrong and could not be undone.
type undoError struct{ cause, undo error }

func (e *undoError) Error() string {
	return fmt.Sprintf("%v; and it could not be undone: %v", e.cause, e.undo)
}
func (e *undoError) Unwrap() []error { return []error{e.cause, e.undo} }

// run makes the edits. The records say what is under way before the first of
// them is made. On an error all is as it was before, or the error is an
// *undoError.
func (c *commit) run(mem memory, step func(string)) error {
	if err := c.verify(mem); err != nil {
		return err
	}
	var undo []func() error
	fail := func(cause error) error {
		var failed error
		for i := len(undo) - 1; i >= 0; i-- {
			if failed != nil && i < len(c.transitions) {
				break // an edit stands: its record has to go on saying so
			}
			failed = errors.Join(failed, undo[i]())
		}
		if failed != nil {
			return &undoError{cause, failed}
		}
		return cause
	}
	for _, t := range c.transitions {
		state, sequence := t.record.State, t.record.Sequence
		undo = append(undo, func() error { return t.record.set(mem, state, sequence) })
		if err := t.record.set(mem, t.during, t.sequence); err != nil {
			return fail(err)
		}
	}
	step("commit:journal")
	for _, e := range c.edits {
		undo = append(undo, func() error { return mem.Write(e.at, e.old) })
		if err := mem.Write(e.at, e.new); err != nil {
			return fail(fmt.Errorf("function %s: %w", e.name, err))
		}
		step("commit:edit")
	}
	for _, t := range c.transitions {
		if err := t.record.set(mem, t.after, t.sequence); err != nil {
			return fail(err)
		}
	}
	step("commit:done")
	return nil
}
