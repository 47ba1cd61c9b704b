// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/ulpatch/ulpatch/applier/link"
	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/payload"
)

// recordHook is a function of a patch that is called when it comes or goes.
type recordHook struct {
	Stage    format.HookStage `json:"stage"`
	Name     string           `json:"name"`
	Call     uint64           `json:"call"` // offset of the function
	CallSize uint64           `json:"call_size"`
	Progress uint64           `json:"progress"` // offset of its progress
}

// phase is the word of a record that says which hooks of a patch were called
// last: 0 for none, else 1 + the number of their stage. Which of that stage's were
// called, the process itself notes.
func phase(stage format.HookStage) uint64 {
	return uint64(slices.Index(format.HookStages, stage)) + 1
}

// HookCall is a call of a hook, or one that a dry run would make.
type HookCall struct {
	Patch  string           `json:"patch"`
	Image  string           `json:"image"`
	Stage  format.HookStage `json:"stage"`
	Name   string           `json:"name"`
	Called bool             `json:"called"`
	Value  int32            `json:"value"` // that it has returned
}

// layHooks tells where the hooks of a payload are in its layout.
func (r *record) layHooks(f *payload.File, layout *link.Layout) error {
	r.Hooks = nil
	for _, h := range f.Table.Hooks {
		one := recordHook{Stage: h.Stage, Name: h.Name}
		var ok bool
		if one.Call, one.CallSize, ok = layout.Symbol(h.Symbol); !ok {
			return refused("payload does not define %q", h.Symbol)
		}
		if one.Progress, _, ok = layout.Symbol(h.Progress); !ok {
			return refused("payload does not define %q", h.Progress)
		}
		r.Hooks = append(r.Hooks, one)
	}
	return nil
}

// checkHooks makes sure of what the process's memory says of hooks.
func (r *record) checkHooks() error {
	if r.Phase > uint64(len(format.HookStages)) || len(r.Hooks) > format.MaxHooks {
		return fmt.Errorf("phase %d, %d hooks", r.Phase, len(r.Hooks))
	}
	for _, h := range r.Hooks {
		inside := h.Call >= r.Code.Offset && h.Call < r.Code.End() && h.CallSize <= r.Code.End()-h.Call &&
			r.Size >= format.HookProgressSize && h.Progress <= r.Size-format.HookProgressSize
		if !inside || phase(h.Stage) == 0 || format.CheckText(h.Name, format.MaxName) != nil {
			return fmt.Errorf("hook %q", h.Name)
		}
	}
	return nil
}

// hooksOf are the hooks of a stage, in the order in which they are called.
func (r *record) hooksOf(stage format.HookStage) (out []recordHook) {
	for _, h := range r.Hooks {
		if h.Stage == stage {
			out = append(out, h)
		}
	}
	return out
}

// hookProgress is what a hook has noted in the process.
type hookProgress struct {
	started, finished bool
	result            int32
}

func (r *record) progress(mem module.Memory, h recordHook) (p hookProgress, err error) {
	var b [format.HookProgressSize]byte
	if err := mem.Read(r.Base+arch.Addr(h.Progress), b[:]); err != nil {
		return p, err
	}
	le := binary.LittleEndian
	return hookProgress{le.Uint32(b[:]) != 0, le.Uint32(b[4:]) != 0, int32(le.Uint32(b[8:]))}, nil
}

// enterPhase begins a stage: none of its hooks was called.
func (r *record) enterPhase(mem memory, stage format.HookStage) error {
	for _, h := range r.hooksOf(stage) {
		if err := mem.Write(r.Base+arch.Addr(h.Progress), make([]byte, format.HookProgressSize)); err != nil {
			return err
		}
	}
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], phase(stage))
	if err := mem.Write(r.Base+recordPhase, word[:]); err != nil {
		return err
	}
	r.Phase = phase(stage)
	return nil
}

// due is the stage whose hooks are to be called, as a patch is now: whether it
// has just become so, or a tool died on the way. What pre-apply has done
// post-revert undoes, and what post-apply has done pre-revert does.
func (r *record) due() (stage format.HookStage, ok bool) {
	switch {
	case len(r.Hooks) == 0:
		return "", false
	case r.State == Active:
		return format.PostApply, true
	case r.State == Reverted && r.Phase != 0:
		return format.PostRevert, true
	}
	return "", false
}

// leaving says whether the progress of a patch's hooks cannot be read any more
// because a tool has died while it freed the memory: after the last hook.
func (r *record) leaving(err error) bool { return err != nil && r.State == Reverted }

// owed are the records of which hooks that are due were not called.
func (p *process) owed() (out []*record) {
	for _, r := range p.records {
		stage, ok := r.due()
		if !ok {
			continue
		}
		left := r.Phase != phase(stage)
		if !left {
			for _, h := range r.hooksOf(stage) {
				progress, err := r.progress(p.mem, h)
				left = left || !progress.started && !r.leaving(err)
			}
		}
		if left {
			out = append(out, r)
		}
	}
	// What goes does so before what comes; what came last goes first.
	slices.SortStableFunc(out, func(a, b *record) int {
		if a.State != b.State {
			return cmp.Compare(b.State, a.State)
		}
		if a.State == Active {
			return cmp.Compare(a.Sequence, b.Sequence)
		}
		return cmp.Compare(b.Sequence, a.Sequence)
	})
	return out
}

// callHooks calls the hooks of a stage of a patch that were not called yet. One
// of a stage before a change that returns anything but 0 ends it with a refusal.
func (o *operation) callHooks(r *record, stage format.HookStage) error {
	if len(r.Hooks) == 0 {
		return nil
	}
	if r.Phase != phase(stage) {
		if err := r.enterPhase(o.p.mem, stage); err != nil {
			return err
		}
		o.Step("hook:journal")
	}
	for _, h := range r.hooksOf(stage) {
		progress, err := r.progress(o.p.mem, h)
		if err != nil {
			return err
		}
		if progress.started {
			continue
		}
		what := fmt.Sprintf("%s hook %s of %s", stage, h.Name, r.ID)
		if err := o.callHook(r, h); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if progress, err = r.progress(o.p.mem, h); err != nil {
			return err
		}
		if !progress.finished {
			return &hookError{fmt.Errorf("%s has noted no end", what)}
		}
		o.result.Hooks = append(o.result.Hooks, HookCall{r.ID, r.Image.Name, stage, h.Name, true, progress.result})
		switch before := stage == format.PreApply || stage == format.PreRevert; {
		case progress.result != 0 && before:
			return refused("%s has returned %d", what, progress.result)
		case progress.result != 0:
			o.Log.Warn("a hook has returned an error", "hook", h.Name, "stage", string(stage), "patch", r.ID, "value", progress.result)
		}
	}
	return nil
}

// callHook calls a hook, as soon as a thread can be borrowed for it.
func (o *operation) callHook(r *record, h recordHook) error {
	g, err := findGadgets(&o.p.view, o.p.mem)
	if err != nil {
		return err
	}
	g.room = hookStack
	call := func(b *borrowed) error { return b.callFunction(r.Base+arch.Addr(h.Call), o.HookTimeout) }
	return o.insist(o.deadline, o.rest, func() error {
		_, err := withBorrowed(o.p, g, o.Step, call)
		if errors.Is(err, ErrBusy) {
			wait := g
			wait.waiting = true
			_, err = withBorrowed(o.p, wait, o.Step, call)
		}
		o.touched = true
		return err
	})
}

// settle calls the hooks that are due, of all patches of the process: after a
// change, after one that did not come about, and after a tool died. The process
// was looked at after that.
func (o *operation) settle() error {
	if err := o.awaitHooks(); err != nil {
		return err
	}
	var failed error
	for _, r := range o.p.owed() {
		stage, _ := r.due()
		failed = errors.Join(failed, o.callHooks(r, stage))
	}
	return failed
}

// awaitHooks waits until no thread is in a hook that an earlier tool has called.
func (o *operation) awaitHooks() error {
	var zones []zone
	for _, r := range o.p.records {
		for _, h := range r.Hooks {
			progress, err := r.progress(o.p.mem, h)
			if err != nil && !r.leaving(err) {
				return err
			}
			if phase(h.Stage) == r.Phase && progress.started && !progress.finished {
				start := r.Base + arch.Addr(h.Call)
				zones = append(zones, zone{name: fmt.Sprintf("%s hook %s of %s", h.Stage, h.Name, r.ID), start: start, end: start + arch.Addr(h.CallSize)})
			}
		}
	}
	if len(zones) == 0 {
		return nil
	}
	return o.commit(&commit{}, zones)
}
