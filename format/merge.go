// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Part is a bundle that is to become part of another.
type Part struct {
	Name     string // for messages
	manifest Manifest
	frames   frames
}

// Part is the bundle as input of Merge.
func (b *Bundle) Part(name string) Part { return Part{name, b.Manifest, b.frames} }

// Part is the bundle as input of Merge.
func (u *Unverified) Part(name string) Part { return Part{name, u.Manifest, u.frames} }

// Merge puts bundles of one patch, for different images, into one without
// signatures. Their manifests have to agree in all but the payloads and the
// critical features, of which the result has all; change, if not nil, edits what
// they agree in. Payloads that are for one image have to be
// the same. The result does not depend on the order of the parts.
func Merge(parts []Part, change func(*Manifest)) ([]byte, error) {
	if len(parts) == 0 {
		return nil, errors.New("merge: nothing to merge")
	}
	m := parts[0].manifest
	m.Payloads = nil
	for _, p := range parts {
		m.Critical = append(slices.Clone(m.Critical), p.manifest.Critical...)
	}
	slices.Sort(m.Critical)
	m.Critical = slices.Compact(m.Critical)
	var all []entry
	for _, p := range parts {
		if err := agree(parts[0], p); err != nil {
			return nil, fmt.Errorf("merge: %w", err)
		}
		for i, info := range p.frames.infos {
			all = append(all, entry{info, p, i})
		}
	}
	entries, err := distinct(all)
	if err != nil {
		return nil, fmt.Errorf("merge: %w", err)
	}
	var h header
	for _, e := range entries {
		m.Payloads = append(m.Payloads, e.PayloadInfo)
		h.payloads += e.PackedSize
	}
	if change != nil {
		change(&m)
	}
	manifest, err := EncodeManifest(m)
	if err != nil {
		return nil, fmt.Errorf("merge: %w", err)
	}
	h.manifest = int64(len(manifest))
	out := append(h.append(make([]byte, 0, h.signed()+maxSigBlock)), manifest...)
	for _, e := range entries {
		frame, _, err := e.from.frames.read(e.index)
		if err != nil {
			return nil, fmt.Errorf("merge: %s: %w", e.from.Name, err)
		}
		out = append(out, frame...)
	}
	return out, nil
}

// entry is a payload of a part.
type entry struct {
	PayloadInfo
	from  Part
	index int
}

// distinct sorts entries and leaves one for each image. Of two frames of one
// payload it is the same one whatever the order of the parts.
func distinct(entries []entry) ([]entry, error) {
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(comparePayloads(a.PayloadInfo, b.PayloadInfo),
			cmp.Compare(a.PackedSize, b.PackedSize), cmp.Compare(a.PackedDigest, b.PackedDigest))
	})
	var kept []entry
	for _, e := range entries {
		if len(kept) > 0 && comparePayloads(kept[len(kept)-1].PayloadInfo, e.PayloadInfo) == 0 {
			if k := kept[len(kept)-1]; k.Digest != e.Digest || k.Image != e.Image {
				return nil, fmt.Errorf("%s and %s have different payloads for %s, build-id %s", k.from.Name, e.from.Name, e.Image.Name, e.Image.BuildID)
			}
			continue
		}
		kept = append(kept, e)
	}
	return kept, nil
}

// agree tells in what the manifests of two parts differ.
func agree(a, b Part) error {
	x, y := a.manifest, b.manifest
	for _, member := range []struct {
		name   string
		differ bool
		x, y   any
	}{
		{"id", x.ID != y.ID, x.ID, y.ID},
		{"version", x.Version != y.Version, x.Version, y.Version},
		{"description", x.Description != y.Description, x.Description, y.Description},
		{"expires", x.Expires != y.Expires, x.Expires, y.Expires},
		{"replaces", !slices.Equal(x.Replaces, y.Replaces), x.Replaces, y.Replaces},
	} {
		if member.differ {
			return fmt.Errorf("%s and %s are not of one patch: %s %q and %q", a.Name, b.Name, member.name, fmt.Sprint(member.x), fmt.Sprint(member.y))
		}
	}
	return nil
}
