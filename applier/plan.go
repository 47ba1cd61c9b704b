// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/ulpatch/ulpatch/applier/link"
	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/hint"
	"github.com/ulpatch/ulpatch/format/payload"
)

// source is a payload of a verified bundle, for one image.
type source struct {
	file   *payload.File
	digest string
}

// plan is all that will be done to a process to apply a bundle. Making one
// changes nothing; all that can fail has failed before it is carried out.
type plan struct {
	id      string
	version int
	parts   []*part
	// edits are the jumps of all parts.
	edits []edit
	// quiet is code that no thread may be in when the edits are made.
	quiet []zone
}

// part is one payload and where it goes.
type part struct {
	module *module.Module
	layout *link.Layout
	image  *link.Image // with its record in place
	record *record
	// guarded code is entered at landing pads only.
	guarded bool
}

// edit is a change of code: old bytes, which have to be there, and new ones.
type edit struct {
	name     string
	at       arch.Addr
	old, new []byte
}

// zone is code that nothing may be executing. A thread that is about to
// execute the instruction at one of entry is outside: it will take the jump.
type zone struct {
	name       string
	start, end arch.Addr
	entry      [2]arch.Addr
}

func (z zone) holds(pc arch.Addr, exact bool) bool {
	if pc < z.start || pc >= z.end {
		return false
	}
	return !exact || (pc != z.entry[0] && pc != z.entry[1])
}

// makePlan plans to apply a bundle's payloads, by build-id, to all modules that
// they are for.
func makePlan(v *view, mem module.Memory, m format.Manifest, sources map[string]source) (*plan, error) {
	p := &plan{id: m.ID, version: m.Version}
	var taken []span
	for _, mod := range v.modules {
		src, ok := sources[mod.BuildID]
		if !ok {
			continue
		}
		if err := p.add(v, mem, mod, src, &taken); err != nil {
			return nil, fmt.Errorf("%s: %w", mod.Name(), err)
		}
	}
	if len(p.parts) == 0 {
		return nil, ErrNoMatch
	}
	for i, part := range p.parts {
		part.record.Part, part.record.Parts = i, len(p.parts)
		head, err := part.record.encode()
		if err != nil {
			return nil, err
		}
		copy(part.image.Bytes, head)
	}
	return p, nil
}

func (p *plan) add(v *view, mem module.Memory, mod *module.Module, src source, taken *[]span) error {
	table := src.file.Table
	values, err := newResolver(v.arch, mem, v.modules, mod).imports(src.file)
	if err != nil {
		return err
	}
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	rec := &record{State: Staged, recordBody: recordBody{
		Nonce: hex.EncodeToString(nonce), ID: p.id, Version: p.version, Bundle: src.digest,
		Image: table.Image, Bias: format.Hex(mod.Bias), Part: 1 << 20, Parts: 1 << 20,
	}}
	for _, r := range table.Quiet {
		p.quiet = append(p.quiet, rangeZone(mod, r))
	}
	base, layout, err := p.settle(v, mem, mod, src.file, rec, *taken)
	if err != nil {
		return err
	}
	*taken = append(*taken, span{base, base + arch.Addr(layout.Size)})
	image, err := layout.Link(base, values)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	rec.Base = base
	guarded, err := landings(v, mem, rec, src.file, image)
	if err != nil {
		return err
	}
	for _, s := range rec.Sites {
		e, below, err := newEdit(v, rec, s)
		if err != nil {
			return fmt.Errorf("function %s: %w: %w", s.Name, ErrRefused, err)
		}
		if below != nil {
			p.quiet = append(p.quiet, below.zone()) // who is inside it is inside the function, too
		}
		p.edits = append(p.edits, e)
	}
	p.parts = append(p.parts, &part{mod, layout, image, rec, guarded})
	return nil
}

// settle finds a place for a payload and the sites of its jumps. Where there is
// no room within reach of a jump, the jumps are far ones.
func (p *plan) settle(v *view, mem module.Memory, mod *module.Module, f *payload.File, rec *record, taken []span) (arch.Addr, *link.Layout, error) {
	try := func(size int, reach uint64) (base arch.Addr, layout *link.Layout, quiet []zone, err error) {
		rec.Sites = nil
		for _, fn := range f.Table.Functions {
			site, zones, err := siteOf(v, mem, mod, fn, size)
			if err != nil {
				return 0, nil, nil, fmt.Errorf("function %s: %w", fn.Name, err)
			}
			rec.Sites = append(rec.Sites, site)
			quiet = append(quiet, zones...)
		}
		if layout, err = layOut(v.arch, f, rec); err != nil {
			return 0, nil, nil, err
		}
		base, err = place(v.maps, mod, layout.Size, reach, v.arch.Syscall.Top, v.stack, taken)
		return base, layout, quiet, err
	}
	base, layout, quiet, err := try(v.arch.JumpSize, v.arch.Reach)
	if errors.Is(err, errNoRoom) && v.arch.FarJump != nil && v.arch.FarReach > v.arch.Reach {
		near := err
		if base, layout, quiet, err = try(v.arch.FarJumpSize, v.arch.FarReach); err != nil {
			err = fmt.Errorf("%w; and further away: %w", near, err)
		}
	}
	p.quiet = append(p.quiet, quiet...)
	return base, layout, err
}

// siteOf checks that a function is in the process as it was when the patch was
// built, and that a jump of size bytes fits.
func siteOf(v *view, mem module.Memory, mod *module.Module, f format.Function, size int) (recordSite, []zone, error) {
	start := mod.Addr(uint64(f.Addr))
	if !mod.IsCode(start) || !mod.IsCode(start+arch.Addr(f.Size)-1) {
		return recordSite{}, nil, refused("%#x is no code of the image", uint64(f.Addr))
	}
	code := make([]byte, f.Size)
	if err := mem.Read(start, code); err != nil {
		return recordSite{}, nil, err
	}
	restorePristine(v, start, code)
	if sum := sha256.Sum256(code); hex.EncodeToString(sum[:]) != f.Digest {
		return recordSite{}, nil, hint.With(
			refused("its %d bytes at %#x are not those of the image", f.Size, uint64(start)),
			"something else has changed them: a debugger's breakpoint, a uprobe, another live patcher")
	}
	entry := v.arch.Entry(code)
	need := entry.Size(size)
	if uint64(need) > min(f.Room, f.Size) {
		return recordSite{}, nil, refused("%d bytes are too few for a landing pad of %d and a jump of %d",
			min(f.Room, f.Size), need-size, size)
	}
	at := start + arch.Addr(entry.Skip)
	quiet := []zone{{f.Name, start, start + arch.Addr(f.Size), [2]arch.Addr{start, at}}}
	for _, r := range f.Parts {
		quiet = append(quiet, rangeZone(mod, r))
	}
	return recordSite{
		Name: f.Name, Function: format.Hex(start), Size: f.Size, At: format.Hex(at),
		Pristine: bytes.Clone(code[entry.Skip:need]), Pad: entry.Pad, NewName: f.Symbol,
	}, quiet, nil
}

func rangeZone(mod *module.Module, r format.Range) zone {
	start := mod.Addr(uint64(r.Addr))
	return zone{name: r.Name, start: start, end: start + arch.Addr(r.Size)}
}

// layOut leaves as much room for the record as the record, which holds offsets
// of the layout, turns out to need.
func layOut(a *arch.Arch, f *payload.File, rec *record) (*link.Layout, error) {
	page := uint64(os.Getpagesize())
	for header := page; ; header += page {
		layout, err := link.New(a, f, header, page)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		rec.Size, rec.Code, rec.Unwind = layout.Size, layout.Code, layout.Unwind
		for i := range rec.Sites {
			s := &rec.Sites[i]
			var ok bool
			if s.New, s.NewSize, ok = layout.Symbol(s.NewName); !ok {
				return nil, refused("payload does not define %q", s.NewName)
			}
		}
		if err := rec.layHooks(f, layout); err != nil {
			return nil, err
		}
		head, err := rec.encode()
		if err != nil {
			return nil, err
		}
		if uint64(len(head)) <= header {
			return layout, nil
		}
	}
}
