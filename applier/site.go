// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"

	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/arch"
)

// Several patches of one function have one site. Their jumps may differ in size:
// all that is compared and written there is as long as the longest, with the
// image's own bytes behind a shorter one.

// pristine is what the image has at a site, as far as any of the patches needs
// it.
func pristine(records []*record, at arch.Addr) []byte {
	var longest []byte
	for _, r := range records {
		for _, s := range r.Sites {
			if arch.Addr(s.At) == at && len(s.Pristine) > len(longest) {
				longest = s.Pristine
			}
		}
	}
	return longest
}

// content is what stands at a site that the patch r has, in place of pristine.
func (r *record) content(a *arch.Arch, s recordSite, pristine []byte) ([]byte, error) {
	jump, err := r.jump(a, s)
	if err != nil || len(jump) > len(pristine) {
		return jump, err
	}
	return append(jump, pristine[len(jump):]...), nil
}

// newEdit is the change that a plan's patch makes at a site. below is the patch
// that has the site so far, if any.
func newEdit(v *view, rec *record, s recordSite) (e edit, below *record, err error) {
	at := arch.Addr(s.At)
	image := pristine(append([]*record{rec}, v.records...), at)
	e = edit{name: s.Name, at: at, old: image}
	if e.new, err = rec.content(v.arch, s, image); err != nil {
		return e, nil, err
	}
	below, site := owner(v.records, at, isActive)
	if below != nil {
		e.old, err = below.content(v.arch, site, image)
	}
	return e, below, err
}

// restorePristine puts the image's own bytes back in a copy of code at start,
// where patches of ours have their jumps. A site whose bytes are not ours stays
// as it is, and will not match its digest.
func restorePristine(v *view, start arch.Addr, code []byte) {
	for _, r := range v.records {
		for _, s := range r.Sites {
			at := arch.Addr(s.At)
			image := pristine(v.records, at)
			off := int64(at) - int64(start)
			if off < 0 || off+int64(len(image)) > int64(len(code)) {
				continue
			}
			o, site := owner(v.records, at, isActive)
			if o == nil {
				continue
			}
			live := code[off:][:len(image)]
			if jump, err := o.content(v.arch, site, image); err == nil && bytes.Equal(live, jump) {
				copy(live, image)
			}
		}
	}
}

// handOverSite plans the edit that gives a site to the newest of those that hold
// theirs, or back to the image.
func handOverSite(records []*record, a *arch.Arch, mem module.Memory, s recordSite, holds func(*record) bool) (e edit, err error) {
	at := arch.Addr(s.At)
	image := pristine(records, at)
	e = edit{name: s.Name, at: at, new: image, old: make([]byte, len(image))}
	if heir, site := owner(records, at, holds); heir != nil {
		if e.new, err = heir.content(a, site, image); err != nil {
			return e, err
		}
	}
	if err := mem.Read(at, e.old); err != nil {
		return e, err
	}
	if bytes.Equal(e.old, e.new) || bytes.Equal(e.old, image) {
		return e, nil
	}
	// Only bytes that are ours are replaced.
	for _, r := range records {
		for _, rs := range r.Sites {
			if arch.Addr(rs.At) != at {
				continue
			}
			if jump, err := r.content(a, rs, image); err == nil && bytes.Equal(e.old, jump) {
				return e, nil
			}
		}
	}
	return e, refused("function %s: % x at %#x is neither a patch's jump nor what was there before", s.Name, e.old, uint64(at))
}
