// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/applier/link"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/arch/amd64"
	"github.com/ulpatch/ulpatch/format"
)

const recordAt = arch.Addr(0x7f0000000000)

func aRecord() *record {
	return &record{
		Base: recordAt, State: Active, Sequence: 5, Path: memfdPrefix + "fix (deleted)",
		recordBody: recordBody{
			Nonce: "00ff", ID: "fix", Version: 3, Bundle: "ab", Part: 0, Parts: 2,
			Image: format.Image{Name: "prog", BuildID: "0123", Machine: "amd64"}, Bias: 0x555555554000,
			Size: 0x3000, Code: link.Region{Offset: 0x1000, Size: 0x1000}, Unwind: link.Region{Offset: 0x800, Size: 0x100},
			Sites: []recordSite{{
				Name: "f", Function: 0x555555555000, Size: 64, At: 0x555555555004,
				Pristine: []byte{1, 2, 3, 4, 5}, New: 0x1010, NewSize: 80,
			}},
		},
	}
}

func inMemory(t testing.TB, r *record) *fakeMemory {
	t.Helper()
	head, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	return &fakeMemory{mappings: map[arch.Addr][]byte{r.Base: append(head, make([]byte, 0x4000-len(head))...)}}
}

func mapped(path string) proc.Maps {
	return proc.Maps{{Start: recordAt, End: recordAt + 0x4000, Perms: "r--p", Path: path}}
}

func TestRecord(t *testing.T) {
	want := aRecord()
	mem := inMemory(t, want)
	got, err := readRecords(mapped(want.Path), mem)
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("read\n%+v, wrote\n%+v", got[0], want)
	}
	if err := got[0].verify(mem); err != nil {
		t.Error(err)
	}
	if none, err := readRecords(mapped("/memfd:other"), mem); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
	jump, err := want.jump(amd64.Arch, recordSite{At: format.Hex(recordAt - 0x1000), Pristine: make([]byte, 5), New: 0x1010})
	if err != nil || jump[0] != 0xe9 || binary.LittleEndian.Uint32(jump[1:]) != 0x2010-5 {
		t.Errorf("% x, %v", jump, err)
	}
	if _, err := want.jump(amd64.Arch, want.Sites[0]); err == nil {
		t.Error("a jump that is out of reach")
	}
}

func TestRecordMalformed(t *testing.T) {
	const huge = ^uint64(0)
	for name, change := range map[string]func(*record){
		"state 0":             func(r *record) { r.State = 0 },
		"state 99":            func(r *record) { r.State = 99 },
		"size":                func(r *record) { r.Size = huge },
		"code outside":        func(r *record) { r.Code.Offset = 0x2800 },
		"code wraps":          func(r *record) { r.Code = link.Region{Offset: huge - 0xfff, Size: 0x2000} },
		"unwind wraps":        func(r *record) { r.Unwind = link.Region{Offset: huge, Size: 1 << 63} },
		"unwind huge":         func(r *record) { r.Unwind.Size = huge },
		"no pristine bytes":   func(r *record) { r.Sites[0].Pristine = nil },
		"many pristine bytes": func(r *record) { r.Sites[0].Pristine = make([]byte, 33) },
		"new outside":         func(r *record) { r.Sites[0].New = 0x3000 },
		"new size wraps":      func(r *record) { r.Sites[0].NewSize = huge - 0x1000 },
		"escape in the id":    func(r *record) { r.ID = "fix\x1b[2J" },
		"escape in a name":    func(r *record) { r.Sites[0].Name = "f\n" },
		"escape in the image": func(r *record) { r.Image.Name = "\u202e" },
	} {
		r := aRecord()
		change(r)
		if got, err := readRecords(mapped(r.Path), inMemory(t, r)); err == nil {
			t.Errorf("%s: %+v", name, got[0])
		}
	}
	for name, change := range map[string]func([]byte){
		"magic":   func(b []byte) { b[0] = 'U' },
		"version": func(b []byte) { b[8]++ },
		"length":  func(b []byte) { b[14] = 1 },
		"json":    func(b []byte) { b[recordHead] = 'x' },
		"zeros":   func(b []byte) { clear(b) },
	} {
		r := aRecord()
		mem := inMemory(t, r)
		change(mem.mappings[recordAt])
		if _, err := readRecords(mapped(r.Path), mem); err == nil || !strings.HasPrefix(err.Error(), "record at 0x7f0000000000: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := readRecords(mapped(aRecord().Path), &fakeMemory{}); err == nil {
		t.Error("a record that cannot be read")
	}
}

func TestOwner(t *testing.T) {
	site := func(at format.Hex) []recordSite { return []recordSite{{Name: "f", At: at}} }
	first := &record{State: Active, Sequence: 1, recordBody: recordBody{Sites: site(16)}}
	second := &record{State: Active, Sequence: 2, recordBody: recordBody{Sites: site(16)}}
	other := &record{State: Active, Sequence: 9, recordBody: recordBody{Sites: site(32)}}
	staged := &record{State: Staged, Sequence: 8, recordBody: recordBody{Sites: site(16)}}
	gone := &record{State: Reverted, Sequence: 7, recordBody: recordBody{Sites: site(16)}}
	for _, records := range [][]*record{{first, second, other, staged, gone}, {gone, other, second, staged, first}} {
		if r, s := owner(records, 16, isActive); r != second || s.At != 16 {
			t.Errorf("owner is %+v", r)
		}
		if r, _ := owner(records, 16, func(r *record) bool { return isActive(r) && r != second }); r != first {
			t.Errorf("without the second: %+v", r)
		}
		if r, _ := owner(records, 16, func(r *record) bool { return isActive(r) && r != first && r != second }); r != nil {
			t.Errorf("without both: %+v", r)
		}
		if n := nextSequence(records); n != 10 {
			t.Errorf("next sequence %d", n)
		}
	}
}

func FuzzRecord(f *testing.F) {
	r := aRecord()
	head, err := r.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(head)
	f.Add([]byte("ulpatch\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const size = 0x4000
		mem := &fakeMemory{mappings: map[arch.Addr][]byte{recordAt: append(data[:min(len(data), size):min(len(data), size)], make([]byte, size)...)[:size]}}
		list, err := readRecords(mapped(r.Path), mem)
		if err != nil {
			return
		}
		for _, r := range list {
			if lo, hi := r.bounds(); hi < lo || hi-lo > maxRecord*64 || r.Code.End() > r.Size || r.Unwind.End() > r.Size {
				t.Errorf("accepted %+v", r)
			}
			if err := r.verify(mem); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestRecordHooks: what a process's memory says of hooks is believed only where
// they lie inside the patch.
func TestRecordHooks(t *testing.T) {
	good := func() *record {
		return &record{recordBody: recordBody{
			Size: 0x3000, Code: link.Region{Offset: 0x1000, Size: 0x1000},
			Hooks: []recordHook{{Stage: format.PreApply, Name: "a", Call: 0x1010, CallSize: 16, Progress: 0x2ff4}},
		}, Phase: 4}
	}
	if err := good().checkHooks(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*record){
		"phase":             func(r *record) { r.Phase = 5 },
		"stage":             func(r *record) { r.Hooks[0].Stage = "never" },
		"name":              func(r *record) { r.Hooks[0].Name = "a\x1b[2J" },
		"before the code":   func(r *record) { r.Hooks[0].Call = 0xfff },
		"behind the code":   func(r *record) { r.Hooks[0].Call = 0x2000 },
		"past the code":     func(r *record) { r.Hooks[0].CallSize = 0xff1 },
		"size wraps":        func(r *record) { r.Hooks[0].CallSize = 1<<64 - 1 },
		"progress past all": func(r *record) { r.Hooks[0].Progress = 0x2ff5 },
		"no room at all":    func(r *record) { r.Size = 4 },
		"too many":          func(r *record) { r.Hooks = make([]recordHook, format.MaxHooks+1) },
	} {
		r := good()
		change(r)
		if err := r.checkHooks(); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
}

// TestHooksDue: what is due follows from the state and the last stage alone.
func TestHooksDue(t *testing.T) {
	for _, c := range []struct {
		state RecordState
		phase uint64
		want  format.HookStage
	}{
		{Staged, 0, ""}, {Staged, 1, ""}, {Committing, 1, ""}, {Reverting, 3, ""}, {Replacing, 3, ""},
		{Active, 0, format.PostApply}, {Active, 1, format.PostApply}, {Active, 2, format.PostApply}, {Active, 3, format.PostApply},
		{Reverted, 0, ""}, {Reverted, 1, format.PostRevert}, {Reverted, 2, format.PostRevert}, {Reverted, 3, format.PostRevert}, {Reverted, 4, format.PostRevert},
	} {
		r := &record{State: c.state, Phase: c.phase, recordBody: recordBody{Hooks: []recordHook{{}}}}
		if got, ok := r.due(); got != c.want || ok != (c.want != "") {
			t.Errorf("%s, phase %d: %q", c.state, c.phase, got)
		}
		r.Hooks = nil
		if _, ok := r.due(); ok {
			t.Errorf("%s, phase %d: without hooks", c.state, c.phase)
		}
	}
}
