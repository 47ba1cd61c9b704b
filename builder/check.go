// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/elffile"
)

// ProofOf is the outcome of the proof of original objects against one image.
type ProofOf struct {
	Image format.Image  `json:"image"`
	Units []UnitProof   `json:"units"` // that are in the image, or seem to be
	Other []string      `json:"other"` // names of objects that are not
	Total ProofCounters `json:"total"`
}

// UnitProof is that of one unit.
type UnitProof struct {
	ProofReport
	// Proved: nothing differs, so changes of the unit can be patched.
	Proved bool   `json:"proved"`
	Reason string `json:"reason,omitempty"` // the likeliest, where something differs
}

// ProofCounters count functions and data by outcome.
type ProofCounters struct {
	Exact     int            `json:"exact"`
	Relaxed   int            `json:"relaxed"`
	Absent    int            `json:"absent"`
	Foreign   int            `json:"foreign"`
	Different int            `json:"different"`
	Rewrites  map[string]int `json:"rewrites,omitempty"` // by name
}

func (c *ProofCounters) add(r ProofReport) {
	c.Exact += r.Exact
	c.Relaxed += r.Relaxed
	c.Absent += r.Absent
	c.Foreign += r.Foreign
	c.Different += r.Different
	for name, n := range r.Rewrites {
		if c.Rewrites == nil {
			c.Rewrites = map[string]int{}
		}
		c.Rewrites[name] += n
	}
}

// Proved says whether everything that is in the image, or seems to be, is proved.
func (p *ProofOf) Proved() bool {
	return !slices.ContainsFunc(p.Units, func(u UnitProof) bool { return !u.Proved })
}

// Check proves the objects, archives or trees at orig against the images, as
// Diff does before it patches. One object is read at a time.
func Check(images []ImageFile, orig string) ([]ProofOf, error) {
	var opened []*image
	var out []ProofOf
	for _, f := range images {
		m, err := readImage(f.Path, f.Image, f.Debug)
		var refusal *Refusal
		if errors.As(err, &refusal) {
			return nil, Refusals{refusal}
		} else if err != nil {
			return nil, err
		}
		opened = append(opened, m)
		out = append(out, ProofOf{Image: format.Image{Name: m.name, BuildID: m.buildID, Machine: m.arch.Name}, Units: []UnitProof{}, Other: []string{}})
	}
	err := readObjects(orig, func(name string, data []byte) error {
		o, err := readObject(name, data)
		var refusal *Refusal
		if errors.As(err, &refusal) {
			return Refusals{refusal}
		} else if err != nil {
			return err
		}
		u := &unit{name: name, orig: o, fixed: o}
		for i, m := range opened {
			if m.arch == o.arch {
				out[i].prove(locate(u, o, m))
			}
		}
		return nil
	})
	return out, err
}

func (p *ProofOf) prove(l *location) {
	if !l.member() && !l.resembles() {
		p.Other = append(p.Other, l.unit.name)
		return
	}
	u := UnitProof{ProofReport: l.report(), Proved: l.member()}
	if !u.Proved {
		u.Reason = l.likeliest()
		if u.First == "" {
			u.First = l.firstProblem()
		}
	}
	p.Units = append(p.Units, u)
	p.Total.add(u.ProofReport)
}

// likeliest tells why an object is probably not what the image was linked from.
func (l *location) likeliest() string {
	if ours, theirs := l.object.compilers, l.image.compilers; len(ours) > 0 && len(theirs) > 0 {
		for _, c := range ours {
			if !slices.Contains(theirs, c) {
				return fmt.Sprintf("another compiler: the object is by %s, the image by %s", c, strings.Join(theirs, " and "))
			}
		}
	}
	if how := l.otherFlags(); how != "" {
		return how
	}
	functions, other := 0, 0
	for _, a := range l.object.atoms {
		if a.kind == kindCode && a.name != "" && l.status[a] != Absent && l.status[a] != "" {
			functions++
			if l.status[a] == Different || l.status[a] == Foreign {
				other++
			}
		}
	}
	const few = 3 // of which most may differ either way
	switch most := 2*other > functions; {
	case most && (functions > few || other == functions):
		return fmt.Sprintf("other flags: %d of %d functions differ", other, functions)
	case most:
		return fmt.Sprintf("other flags, or another version of the source: %d of %d functions differ", other, functions)
	}
	return fmt.Sprintf("another version of the source: %d of %d functions differ", other, functions)
}

// readObjects reads an object, an archive, or a tree of these, by name.
func readObjects(path string, each func(name string, data []byte) error) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return readMembers(filepath.Base(path), path, each)
	}
	names := map[string]bool{}
	if err := listObjects(path, names); err != nil {
		return err
	}
	for _, name := range sortedKeys(names) {
		if err := readMembers(name, filepath.Join(path, name), each); err != nil {
			return err
		}
	}
	return nil
}

func readMembers(name, path string, each func(name string, data []byte) error) error {
	data, err := readLimited(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // removed meanwhile
	case err != nil:
		return err
	case bytes.HasPrefix(data, []byte(thinMagic)):
		return fmt.Errorf("%s: a thin archive; give the objects", path)
	case !bytes.HasPrefix(data, []byte(arMagic)):
		return each(name, data)
	}
	members, err := readArchive(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, m := range members {
		if bytes.HasPrefix(m.data, []byte("\x7fELF")) {
			if err := each(fmt.Sprintf("%s(%s)", name, m.name), m.data); err != nil {
				return err
			}
		}
	}
	return nil
}

// commentOf lists who made a file, from its .comment section.
func commentOf(f *elffile.File) (out []string, err error) {
	s, ok := f.Section(".comment")
	if !ok {
		return nil, nil
	}
	data, err := f.Data(s)
	if err != nil {
		return nil, err
	}
	for _, c := range strings.Split(string(data), "\x00") {
		if c != "" && len(c) < 256 && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	slices.Sort(out)
	return out, nil
}
