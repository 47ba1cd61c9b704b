// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ulpatch/ulpatch/format"
)

// hookSection holds a struct ulpatch_hook (include/ulpatch.h) for each hook:
//
//	0   8  the function to call
//	8   8  its struct ulpatch_progress
//	16  8  name
//	24  4  stage
//	28  4  line
const (
	hookSection = ".ulpatch.hooks"
	hookStage   = 24
	hookLine    = 28
	hookSize    = 32
)

// hook is a function that the patch brings to be called when it comes or goes.
type hook struct {
	stage, line    int
	name           string
	call, progress *atom
}

// hooks reads the hooks of an object, in the order in which they are called.
func (o *object) hooks() ([]hook, error) {
	var out []hook
	for _, a := range o.atoms {
		if a.section.name != hookSection || a.size == 0 {
			continue
		}
		h, err := readHook(a)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a, err)
		}
		out = append(out, h)
	}
	slices.SortStableFunc(out, func(a, b hook) int {
		return cmp.Or(cmp.Compare(a.stage, b.stage), cmp.Compare(a.line, b.line), cmp.Compare(a.name, b.name))
	})
	return out, nil
}

func readHook(a *atom) (h hook, err error) {
	if len(a.data) < hookSize || len(a.refs) != 3 {
		return h, fmt.Errorf("%d bytes with %d references, not what the macros of ulpatch.h make", a.size, len(a.refs))
	}
	for i, r := range a.refs {
		if r.off != uint64(8*i) || r.target == nil || i < 2 && r.landing != 0 {
			return h, fmt.Errorf("+%#x: refers to %s, not to what the macros of ulpatch.h make", r.off, r.referent())
		}
	}
	h.call, h.progress = a.refs[0].target, a.refs[1].target
	if h.call.kind != kindCode || h.progress.kind != kindVariable || h.progress.size < format.HookProgressSize {
		return h, fmt.Errorf("refers to a %s and a %s, not to what the macros of ulpatch.h make", h.call.kind, h.progress.kind)
	}
	h.stage = int(binary.LittleEndian.Uint32(a.data[hookStage:]))
	h.line = int(binary.LittleEndian.Uint32(a.data[hookLine:]))
	if h.stage >= len(format.HookStages) {
		return h, fmt.Errorf("stage %d is not known", h.stage)
	}
	text := a.refs[2].target
	if text.section.flags&elf.SHF_WRITE != 0 || a.refs[2].landing < 0 || a.refs[2].landing > int64(len(text.data)) {
		return h, fmt.Errorf("its name is no constant")
	}
	name, _, ended := cutZero(text.data[a.refs[2].landing:])
	if !ended || len(name) == 0 || format.CheckText(name, format.MaxName) != nil {
		return h, fmt.Errorf("its name is no text")
	}
	h.name = name
	return h, nil
}

func cutZero(b []byte) (before string, after []byte, found bool) {
	i := slices.Index(b, 0)
	if i < 0 {
		return "", nil, false
	}
	return string(b[:i]), b[i+1:], true
}

// readHooks takes the hooks of a unit out of its fixed object.
func (d *diff) readHooks(u *unit) {
	var err error
	if u.hooks, err = u.fixed.hooks(); err != nil {
		d.refusals = append(d.refusals, &Refusal{Code: CodeHook, Place: u.name, Detail: err.Error(),
			Advice: "include ulpatch.h of this ulpatch-build, and keep the symbols of the object"})
	}
	if u.orig != nil && slices.ContainsFunc(u.orig.atoms, func(a *atom) bool { return a.section.name == hookSection }) {
		d.refusals = append(d.refusals, &Refusal{Code: CodeHook, Place: u.name, Detail: "the original object has hooks, too: an earlier patch's",
			Advice: "leave hooks out of what is shipped: keep them in a file of the patch, or between #if __has_include(<ulpatch.h>) and #endif"})
	}
}

// patchHook is a hook of a patch's payload.
type patchHook struct {
	hook
	unit *unit
}

// findHooks lists the hooks of the units, if there is something to patch: by
// stage, then by unit.
func (p *patch) findHooks() {
	if len(p.sites) == 0 {
		return
	}
	for _, l := range p.places {
		for _, h := range l.unit.hooks {
			p.hooks = append(p.hooks, patchHook{h, l.unit})
		}
	}
	slices.SortStableFunc(p.hooks, func(a, b patchHook) int { return cmp.Compare(a.stage, b.stage) })
}

// hookTable writes the hooks to the payload's table and to the report.
func (e *emitter) hookTable() {
	symbol := func(a *atom) string { return e.file.Symbols[e.symbols[a]].Name }
	for _, h := range e.p.hooks {
		stage := format.HookStages[h.stage]
		e.file.Table.Hooks = append(e.file.Table.Hooks, format.Hook{Stage: stage, Name: h.name, Symbol: symbol(h.call), Progress: symbol(h.progress)})
		e.p.report.Hooks = append(e.p.report.Hooks, HookReport{h.unit.name, stage, h.name})
	}
}

// judgeHooks refuses hooks that would be called never, or by nobody knows which
// image, and marks the bundle of one that has some.
func (d *diff) judgeHooks() {
	in := map[*unit][]string{}
	for _, m := range d.result.Report.Images {
		for _, h := range m.Hooks {
			i := slices.IndexFunc(d.units, func(u *unit) bool { return u.name == h.Unit })
			if u := d.units[i]; !slices.Contains(in[u], m.Image.BuildID) {
				in[u] = append(in[u], m.Image.BuildID)
			}
		}
	}
	if len(d.refusals) > 0 || len(d.result.Payloads) == 0 {
		return // nothing was made that could have hooks
	}
	for _, u := range d.units {
		if len(u.hooks) == 0 {
			continue
		}
		r := &Refusal{Code: CodeHook, Place: u.name, Name: u.hooks[0].name}
		switch {
		case len(in[u]) == 0:
			r.Detail, r.Advice = "it has hooks, and is part of no image in which something changes", "put them into a file of the image that they are for"
		case u.orig == nil && len(in[u]) > 1:
			r.Detail = fmt.Sprintf("it has hooks, and there are %d images that they may be for", len(in[u]))
			r.Advice = "put them into a file of the image that they are for, or make a patch for each image and merge them"
		default:
			d.critical(format.FeatureHooks)
			continue
		}
		d.refusals = append(d.refusals, r)
	}
}
