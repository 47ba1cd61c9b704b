// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format"
)

const textAt = arch.Addr(0x401000)

// commitOf makes a process with parts staged records and as many edits each, and
// the commit that makes them active.
func commitOf(t testing.TB, parts, edits int) (*fakeMemory, *commit) {
	t.Helper()
	text := bytes.Repeat([]byte{0x90}, 4096)
	mem := &fakeMemory{mappings: map[arch.Addr][]byte{textAt: text}}
	c := &commit{}
	for i := range parts {
		r := &record{State: Staged, Base: arch.Addr(0x10000 * (i + 1)), recordBody: recordBody{ID: fmt.Sprint("fix-", i), Size: 8192}}
		for j := range edits {
			at := textAt + arch.Addr(64*(i*edits+j))
			s := recordSite{Name: fmt.Sprint("f", j), At: format.Hex(at), Pristine: bytes.Repeat([]byte{0x90}, 5), New: 4096, NewSize: 16}
			r.Sites = append(r.Sites, s)
			c.edits = append(c.edits, edit{s.Name, at, s.Pristine, []byte{0xe9, 1, 2, 3, byte(i)}})
		}
		head, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		mem.mappings[r.Base] = append(head, make([]byte, 8192-len(head))...)
		c.transitions = append(c.transitions, transition{r, Committing, Active, 7})
	}
	return mem, c
}

func TestCommit(t *testing.T) {
	mem, c := commitOf(t, 2, 3)
	var steps []string
	journal := 0
	err := c.run(mem, func(name string) {
		steps = append(steps, name)
		if name == "commit:journal" {
			for _, tr := range c.transitions {
				if have := mem.find(tr.record.Base+recordState, 1)[0]; RecordState(have) == Committing {
					journal++
				}
			}
			if mem.find(textAt, 1)[0] != 0x90 {
				t.Error("an edit was made before the journal was written")
			}
		}
	})
	if err != nil || journal != 2 || len(steps) != 8 {
		t.Fatalf("%v, %d records, steps %v", err, journal, steps)
	}
	for _, e := range c.edits {
		if !bytes.Equal(mem.find(e.at, 5), e.new) || mem.find(e.at+5, 1)[0] != 0x90 {
			t.Errorf("% x at %#x", mem.find(e.at, 6), uint64(e.at))
		}
	}
	for _, tr := range c.transitions {
		if err := tr.record.verify(mem); err != nil || tr.record.State != Active || tr.record.Sequence != 7 {
			t.Errorf("%v: %v, sequence %d", err, tr.record.State, tr.record.Sequence)
		}
	}
}

// TestCommitFailsAtN lets each operation fail in turn: memory is as it was.
func TestCommitFailsAtN(t *testing.T) {
	failures := 0
	for n := 1; ; n++ {
		mem, c := commitOf(t, 2, 3)
		before := mem.clone()
		mem.failAt = n
		err := c.run(mem, func(string) {})
		if err == nil {
			break
		}
		failures++
		var undo *undoError
		if errors.As(err, &undo) || !errors.Is(err, errFake) {
			t.Errorf("operation %d: %v", n, err)
		}
		sameMemory(t, fmt.Sprint("operation ", n), mem.mappings, before)
		for _, tr := range c.transitions {
			if tr.record.State != Staged || tr.record.Sequence != 0 {
				t.Errorf("operation %d: record says %v", n, tr.record.State)
			}
		}
	}
	if want := 2 + 6 + 2 + 6 + 2; failures != want { // verify, journal, edits, records
		t.Errorf("%d operations, want %d", failures, want)
	}
}

// TestCommitCannotBeUndone lets all operations fail from one on. What is left is
// told, and no jump leads to a record that says that none does.
func TestCommitCannotBeUndone(t *testing.T) {
	for n := 1; n <= 18; n++ {
		mem, c := commitOf(t, 2, 3)
		before := mem.clone()
		mem.brokenFrom = n
		err := c.run(mem, func(string) {})
		var undo *undoError
		if n <= 8 { // nothing was written yet
			if err == nil || errors.As(err, &undo) {
				t.Errorf("from operation %d on: %v", n, err)
			}
			sameMemory(t, fmt.Sprint("from operation ", n), mem.mappings, before)
			continue
		}
		if !errors.As(err, &undo) || !errors.Is(err, errFake) {
			t.Errorf("from operation %d on: %v", n, err)
		}
		for i, tr := range c.transitions {
			state := RecordState(mem.find(tr.record.Base+recordState, 1)[0])
			for _, e := range c.edits[3*i:][:3] {
				if !bytes.Equal(mem.find(e.at, 5), e.old) && state != Committing && state != Active {
					t.Errorf("from operation %d on: %s has changed, and its record says %v", n, e.name, state)
				}
			}
		}
	}
}

// TestCommitUndoesTheRest: an edit that cannot be undone keeps no other from it.
func TestCommitUndoesTheRest(t *testing.T) {
	mem, c := commitOf(t, 2, 3)
	before := mem.clone()
	mem.failAt, mem.failToo = 8+2+6, 8+2+6+2 // the last edit, and the undo of the one before it
	var undo *undoError
	if err := c.run(mem, func(string) {}); !errors.As(err, &undo) {
		t.Fatal(err)
	}
	for i, e := range c.edits {
		if changed := !bytes.Equal(mem.find(e.at, 5), e.old); changed != (i == 4) {
			t.Errorf("edit %d: % x", i, mem.find(e.at, 5))
		}
	}
	for _, tr := range c.transitions {
		if state := RecordState(mem.find(tr.record.Base+recordState, 1)[0]); state != Committing {
			t.Errorf("a record says %v", state)
		}
	}
	copy(mem.find(c.edits[4].at, 5), c.edits[4].old)
	if !bytes.Equal(mem.mappings[textAt], before[textAt]) {
		t.Error("more than that has changed")
	}
}

// TestCommitChanged: a process that is not as it was planned for is left alone.
func TestCommitChanged(t *testing.T) {
	for name, change := range map[string]func(*fakeMemory, *commit){
		"code":         func(m *fakeMemory, c *commit) { m.find(c.edits[5].at+4, 1)[0] = 0xcc },
		"record":       func(m *fakeMemory, c *commit) { m.find(c.transitions[1].record.Base+40, 1)[0] ^= 1 },
		"record state": func(m *fakeMemory, c *commit) { m.find(c.transitions[0].record.Base+recordState, 1)[0] = byte(Active) },
	} {
		mem, c := commitOf(t, 2, 3)
		change(mem, c)
		before := mem.clone()
		if err := c.run(mem, func(string) {}); !errors.Is(err, errChanged) {
			t.Errorf("%s: %v", name, err)
		}
		sameMemory(t, name, mem.mappings, before)
	}
	mem, c := commitOf(t, 1, 1)
	delete(mem.mappings, c.transitions[0].record.Base)
	if err := c.run(mem, func(string) {}); !errors.Is(err, errChanged) {
		t.Errorf("without its record: %v", err)
	}
}
