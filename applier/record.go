// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/ulpatch/ulpatch/applier/link"
	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format"
)

// A record stands at the start of each payload in a process, in read-only
// memory, and is all that is known of the patch there: the process is the
// database. Its head is words, since they change; the rest is JSON.
//
//	0   8  magic
//	8   4  version
//	12  4  bytes of JSON
//	16  8  state
//	24  8  sequence: of two active patches of a function, the higher has it
//	32  8  phase: which hooks were called last
//	40  .. JSON of recordBody
const (
	recordMagic    = "ulpatch\x00"
	recordVersion  = 2
	recordState    = 16
	recordSequence = 24
	recordPhase    = 32
	recordHead     = 40
	maxRecord      = 4 << 20

	// memfdName is what a memory map calls a patch, before its id.
	memfdName   = "ulpatch:"
	memfdPrefix = "/memfd:" + memfdName
)

// RecordState is how far a patch is.
type RecordState uint64

const (
	// Staged: in memory, and nothing leads there.
	Staged RecordState = 1 + iota
	// Committing: jumps are being written; found later, the tool died.
	Committing
	// Active: the patch's functions run.
	Active
	// Reverting: jumps are being taken back; found later, the tool died.
	Reverting
	// Reverted: nothing leads there any more, but something may still refer to it.
	Reverted
	// Replacing: its sites are being given to a patch that replaces it.
	Replacing
)

func (s RecordState) String() string {
	names := []string{"invalid", "staged", "committing", "active", "reverting", "reverted", "replacing"}
	if s >= RecordState(len(names)) {
		s = 0
	}
	return names[s]
}

// recordBody is what does not change. Addresses of the payload are offsets from
// the record, others are the process's.
type recordBody struct {
	Nonce   string       `json:"nonce"` // of this staging
	ID      string       `json:"id"`
	Version int          `json:"version"`
	Bundle  string       `json:"bundle"` // SHA-256 of the payload: which build of the patch
	Part    int          `json:"part"`   // this payload's number in the process
	Parts   int          `json:"parts"`  // of so many
	Image   format.Image `json:"image"`
	Bias    format.Hex   `json:"bias"`
	Size    uint64       `json:"size"` // bytes of the whole mapping
	Code    link.Region  `json:"code"`
	Unwind  link.Region  `json:"unwind"`
	Sites   []recordSite `json:"sites"`
	Hooks   []recordHook `json:"hooks,omitempty"`
}

// recordSite is a redirected function.
type recordSite struct {
	Name string `json:"name"`
	// Function is the old one.
	Function format.Hex `json:"function"`
	Size     uint64     `json:"size"`
	At       format.Hex `json:"at"`       // of what is written
	Pristine []byte     `json:"pristine"` // what the image has there
	// Pad is the landing pad that is written before the jump, in place of one of
	// the function's that does more.
	Pad     []byte `json:"pad,omitempty"`
	New     uint64 `json:"new"` // offset of the new function
	NewSize uint64 `json:"new_size"`

	NewName string `json:"-"` // symbol in the payload
}

// record is a recordBody where it was found.
type record struct {
	recordBody
	Base     arch.Addr
	State    RecordState
	Sequence uint64
	Phase    uint64
	Path     string // as the memory map names it
	json     []byte // recordBody as it is in memory
}

func (r *record) bounds() (start, end arch.Addr) { return r.Base, r.Base + arch.Addr(r.Size) }

// jump is what the patch writes at a site. Its size tells whether the jump is a
// far one.
func (r *record) jump(a *arch.Arch, s recordSite) ([]byte, error) {
	from, to := arch.Addr(s.At)+arch.Addr(len(s.Pad)), r.Base+arch.Addr(s.New)
	size := len(s.Pristine) - len(s.Pad)
	switch {
	case size == a.JumpSize:
		jump, err := a.Jump(from, to)
		return append(bytes.Clone(s.Pad), jump...), err
	case size == a.FarJumpSize && a.FarJump != nil:
		return append(bytes.Clone(s.Pad), a.FarJump(to)...), nil
	}
	return nil, fmt.Errorf("%w: %d bytes for a jump", errRecord, size)
}

// encode sets the record's JSON and returns it behind its head.
func (r *record) encode() ([]byte, error) {
	data, err := json.Marshal(r.recordBody)
	if err != nil {
		return nil, err
	}
	if len(data) > maxRecord {
		return nil, fmt.Errorf("record of %d bytes", len(data))
	}
	r.json = data
	return r.bytes(), nil
}

// bytes is the record as it is in memory.
func (r *record) bytes() []byte {
	out := make([]byte, recordHead, recordHead+len(r.json))
	copy(out, recordMagic)
	le := binary.LittleEndian
	le.PutUint32(out[8:], recordVersion)
	le.PutUint32(out[12:], uint32(len(r.json)))
	le.PutUint64(out[recordState:], uint64(r.State))
	le.PutUint64(out[recordSequence:], r.Sequence)
	le.PutUint64(out[recordPhase:], r.Phase)
	return append(out, r.json...)
}

// readRecords finds the patches of a process. A mapping that bears our name and
// holds no record is an error: nothing can be told of it.
func readRecords(maps proc.Maps, mem module.Memory) ([]*record, error) {
	var list []*record
	for _, m := range maps {
		if !strings.HasPrefix(m.Path, memfdPrefix) || m.Offset != 0 {
			continue
		}
		r, err := readRecord(m, mem)
		if err != nil {
			return nil, fmt.Errorf("record at %#x: %w", uint64(m.Start), err)
		}
		list = append(list, r)
	}
	return list, nil
}

var errRecord = errors.New("malformed")

func readRecord(m proc.Mapping, mem module.Memory) (*record, error) {
	var head [recordHead]byte
	if err := mem.Read(m.Start, head[:]); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if !bytes.HasPrefix(head[:], []byte(recordMagic)) {
		return nil, fmt.Errorf("%w: no magic", errRecord)
	}
	if v := le.Uint32(head[8:]); v != recordVersion {
		return nil, fmt.Errorf("version %d was written by another release; use that one", v)
	}
	size := le.Uint32(head[12:])
	if size > maxRecord || arch.Addr(size) > m.End-m.Start-recordHead {
		return nil, fmt.Errorf("%w: %d bytes", errRecord, size)
	}
	data := make([]byte, size)
	if err := mem.Read(m.Start+recordHead, data); err != nil {
		return nil, err
	}
	r := &record{
		Base: m.Start, Path: m.Path,
		State: RecordState(le.Uint64(head[recordState:])), Sequence: le.Uint64(head[recordSequence:]),
		Phase: le.Uint64(head[recordPhase:]), json: data,
	}
	if err := json.Unmarshal(data, &r.recordBody); err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	return r, nil
}

// check makes sure of what others rely on: the memory that a record is read from
// is the process's, and may say anything.
func (r *record) check() error {
	if r.State < Staged || r.State > Replacing || r.Size > maxRecord*64 {
		return fmt.Errorf("state %d, size %d", r.State, r.Size)
	}
	for _, in := range []link.Region{r.Code, r.Unwind} {
		if in.Offset > r.Size || in.Size > r.Size-in.Offset {
			return fmt.Errorf("%d bytes at %#x of %#x", in.Size, in.Offset, r.Size)
		}
	}
	if err := r.checkHooks(); err != nil {
		return err
	}
	texts := []string{r.ID, r.Image.Name, r.Image.BuildID}
	for _, s := range r.Sites {
		if len(s.Pristine) == 0 || len(s.Pristine) > maxJump || len(s.Pad) >= len(s.Pristine) || s.New >= r.Size || s.NewSize > r.Size-s.New {
			return fmt.Errorf("site %q", s.Name)
		}
		texts = append(texts, s.Name)
	}
	for _, text := range texts { // which will be shown
		if err := format.CheckText(text, format.MaxName); err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
	}
	return nil
}

const maxJump = 32 // bytes, of any CPU

// nextSequence is higher than that of every patch so far.
func nextSequence(records []*record) uint64 {
	var last uint64
	for _, r := range records {
		last = max(last, r.Sequence)
	}
	return last + 1
}

// owner is the patch that has a site, of those that hold theirs: the newest. It
// is nil where the image's own code stands there.
func owner(records []*record, at arch.Addr, holds func(*record) bool) (*record, recordSite) {
	var best *record
	var site recordSite
	for _, r := range records {
		if !holds(r) || (best != nil && r.Sequence < best.Sequence) {
			continue
		}
		for _, s := range r.Sites {
			if arch.Addr(s.At) == at {
				best, site = r, s
			}
		}
	}
	return best, site
}

func isActive(r *record) bool { return r.State == Active }
