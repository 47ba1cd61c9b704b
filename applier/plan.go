// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
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
	for _, f := range table.Functions {
		site, err := p.site(v, mem, mod, f)
		if err != nil {
			return fmt.Errorf("function %s: %w", f.Name, err)
		}
		rec.Sites = append(rec.Sites, site)
	}
	for _, r := range table.Quiet {
		p.quiet = append(p.quiet, rangeZone(mod, r))
	}

	layout, err := layOut(v.arch, src.file, rec)
	if err != nil {
		return err
	}
	base, err := place(v.maps, mod, layout.Size, v.arch.Reach, v.stack, *taken)
	if err != nil {
		return err
	}
	*taken = append(*taken, span{base, base + arch.Addr(layout.Size)})
	image, err := layout.Link(base, values)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	rec.Base = base
	for _, s := range rec.Sites {
		jump, err := rec.jump(v.arch, s)
		if err != nil {
			return fmt.Errorf("function %s: %w: %w", s.Name, ErrRefused, err)
		}
		old := s.Pristine
		if r, below := owner(v.records, arch.Addr(s.At), isActive); r != nil {
			if old, err = r.jump(v.arch, below); err != nil {
				return err
			}
			p.quiet = append(p.quiet, r.zone()) // who is inside it is inside the function, too
		}
		p.edits = append(p.edits, edit{s.Name, arch.Addr(s.At), old, jump})
	}
	p.parts = append(p.parts, &part{mod, layout, image, rec})
	return nil
}

// site checks that a function is in the process as it was when the patch was
// built, and that a jump fits.
func (p *plan) site(v *view, mem module.Memory, mod *module.Module, f format.Function) (recordSite, error) {
	start := mod.Addr(uint64(f.Addr))
	if !mod.IsCode(start) || !mod.IsCode(start+arch.Addr(f.Size)-1) {
		return recordSite{}, refused("%#x is no code of the image", uint64(f.Addr))
	}
	code := make([]byte, f.Size)
	if err := mem.Read(start, code); err != nil {
		return recordSite{}, err
	}
	restorePristine(v, start, code)
	if sum := sha256.Sum256(code); hex.EncodeToString(sum[:]) != f.Digest {
		return recordSite{}, hint.With(
			refused("its %d bytes at %#x are not those of the image", f.Size, uint64(start)),
			"something else has changed them: a debugger's breakpoint, a uprobe, another live patcher")
	}
	at := start
	if bytes.HasPrefix(code, v.arch.LandingPad) {
		at += arch.Addr(len(v.arch.LandingPad))
	}
	skip := uint64(at - start)
	if skip+uint64(v.arch.JumpSize) > min(f.Room, f.Size) {
		return recordSite{}, refused("%d bytes are too few for a landing pad of %d and a jump of %d", min(f.Room, f.Size), skip, v.arch.JumpSize)
	}
	p.quiet = append(p.quiet, zone{f.Name, start, start + arch.Addr(f.Size), [2]arch.Addr{start, at}})
	for _, r := range f.Parts {
		p.quiet = append(p.quiet, rangeZone(mod, r))
	}
	return recordSite{
		Name: f.Name, Function: format.Hex(start), Size: f.Size, At: format.Hex(at),
		Pristine: bytes.Clone(code[skip:][:v.arch.JumpSize]), NewName: f.Symbol,
	}, nil
}

func rangeZone(mod *module.Module, r format.Range) zone {
	start := mod.Addr(uint64(r.Addr))
	return zone{name: r.Name, start: start, end: start + arch.Addr(r.Size)}
}

// restorePristine puts the image's own bytes back in a copy of code at start,
// where patches of ours have their jumps. A site whose bytes are not ours stays
// as it is, and will not match its digest.
func restorePristine(v *view, start arch.Addr, code []byte) {
	for _, r := range v.records {
		for _, s := range r.Sites {
			off := int64(s.At) - int64(start)
			if off < 0 || off+int64(len(s.Pristine)) > int64(len(code)) {
				continue
			}
			o, site := owner(v.records, arch.Addr(s.At), isActive)
			if o == nil {
				continue
			}
			live := code[off:][:len(s.Pristine)]
			if jump, err := o.jump(v.arch, site); err == nil && bytes.Equal(live, jump) {
				copy(live, s.Pristine)
			}
		}
	}
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
		head, err := rec.encode()
		if err != nil {
			return nil, err
		}
		if uint64(len(head)) <= header {
			return layout, nil
		}
	}
}
