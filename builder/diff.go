// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/ulpatch/ulpatch/format"
)

// ImageFile is a linked file that is to be patched.
type ImageFile struct {
	Path  string // for its name, and for messages
	Image *io.SectionReader
	Debug *io.SectionReader // nil: the image has its own symbols
}

// Options are the input of Diff.
type Options struct {
	Images  []ImageFile
	Pairs   []ObjectPair // see ReadPairs
	Missing []string     // objects that only the original side has
	Spec    *Spec        // nil: nothing is allowed, nothing excluded
	ID      string       // "": the spec's
	Strict  bool         // warnings are errors
	// Unproved makes a warning of an original object that an image was not linked
	// from, where the image's symbols tell what is needed.
	Unproved bool
	// Lines patches also functions that differ in line numbers alone.
	Lines bool
	// Libraries tells where new imports are looked for. Without it they are not
	// checked.
	Libraries LibraryPath
	Logger    *slog.Logger // nil: nothing is logged
}

// Result is a patch. Manifest and Payloads are what format.Encode takes.
type Result struct {
	Manifest format.Manifest
	Payloads [][]byte // in the order of Manifest.Payloads
	Report   Report
}

// Diff compares the pairs, proves the original objects against the images and
// makes a payload for each image with something to patch. The error is of type
// Refusals where a patch was refused; the result then has a report and nothing
// else. The same options give the same result.
func Diff(opts Options) (*Result, error) {
	d := &diff{opts: opts, log: opts.Logger, result: &Result{}}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if err := d.run(); err != nil {
		return nil, err
	}
	return d.finish()
}

type diff struct {
	opts     Options
	log      *slog.Logger
	result   *Result
	images   []*image
	units    []*unit
	refusals Refusals
	member   map[*unit][]string
	allowed  map[*unit][]AllowReport
	troubled map[*unit]map[int]bool
}

func (d *diff) run() error {
	id := d.opts.ID
	if id == "" && d.opts.Spec != nil {
		id = d.opts.Spec.ID
	}
	d.result.Report.ID = id
	d.result.Manifest = format.Manifest{ID: id, Version: 1}
	if s := d.opts.Spec; s != nil {
		d.result.Manifest.Description = s.Description
		d.result.Manifest.Version = max(s.Version, 1)
		d.result.Manifest.Replaces = slices.Compact(slices.Sorted(slices.Values(s.Replaces)))
	}
	if len(d.opts.Images) == 0 {
		return errors.New("no image")
	}
	for _, gone := range d.opts.Missing {
		d.warn("%s: only the original side has it", gone)
	}
	if err := d.read(); err != nil {
		return err
	}
	if len(d.refusals) == 0 {
		d.patchAll()
	}
	return nil
}

func (d *diff) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(d.result.Report.Warnings, text) {
		d.result.Report.Warnings = append(d.result.Report.Warnings, text)
		d.log.Warn(text)
	}
}

// refuse takes a refusal out of err, if it is one.
func (d *diff) refuse(err error) error {
	var r *Refusal
	if errors.As(err, &r) {
		d.refusals = append(d.refusals, r)
		return nil
	}
	return err
}

func (d *diff) read() error {
	d.member, d.allowed, d.troubled = map[*unit][]string{}, map[*unit][]AllowReport{}, map[*unit]map[int]bool{}
	for _, f := range d.opts.Images {
		m, err := readImage(f.Path, f.Image, f.Debug)
		if err != nil {
			if err = d.refuse(err); err != nil {
				return err
			}
			continue
		}
		if i := slices.IndexFunc(d.images, func(o *image) bool { return o.buildID == m.buildID }); i >= 0 {
			d.warn("%s: the same build as %s", f.Path, d.images[i].path)
			continue
		}
		d.images = append(d.images, m)
	}
	for _, pair := range d.opts.Pairs {
		if pair.Orig != nil && string(pair.Orig) == string(pair.Fixed) {
			continue
		}
		var orig *object
		if pair.Orig != nil {
			var err error
			if orig, err = readObject(pair.Name, pair.Orig); err != nil {
				if err = d.refuse(err); err == nil {
					continue
				}
				return fmt.Errorf("the original of %w", err)
			}
		}
		fixed, err := readObject(pair.Name, pair.Fixed)
		if err != nil {
			if err = d.refuse(err); err == nil {
				continue
			}
			return fmt.Errorf("the fixed %w", err)
		}
		if orig != nil && orig.arch != fixed.arch {
			d.refusals = append(d.refusals, &Refusal{Code: CodeMachine, Place: pair.Name, Detail: fmt.Sprintf("original for %s, fixed for %s", orig.arch.Name, fixed.arch.Name)})
			continue
		}
		u := newUnit(pair.Name, orig, fixed, d.opts.Spec, d.opts.Lines)
		d.readHooks(u)
		if orig != nil {
			u.judgeTypes(pair.Orig, pair.Fixed)
		}
		d.log.Debug("compared", "unit", u.name, "changed", len(u.changed), "constants", len(u.constants), "troubles", len(u.troubles))
		d.units = append(d.units, u)
	}
	return nil
}

// finish turns what was found into the result, or into the refusals.
func (d *diff) finish() (*Result, error) {
	r := d.result
	d.judgeHooks()
	for _, u := range d.units {
		if u.shifted != nil && len(d.member[u]) > 0 {
			d.warn("%s: %s", u.name, u.shifted)
		}
		r.Report.Units = append(r.Report.Units, u.report(d.member[u], d.allowed[u]))
	}
	if len(d.refusals) == 0 && len(r.Payloads) == 0 {
		d.refusals = append(d.refusals, d.whyNothing())
	}
	if d.opts.Strict && len(d.refusals) == 0 && len(r.Report.Warnings) > 0 {
		r.Manifest, r.Payloads = format.Manifest{}, nil
		return r, fmt.Errorf("strict: %s", strings.Join(r.Report.Warnings, "; "))
	}
	r.Report.Refusals = d.refusals
	if len(d.refusals) > 0 {
		r.Manifest, r.Payloads = format.Manifest{}, nil
		return r, d.refusals
	}
	return r, nil
}

func (d *diff) whyNothing() *Refusal {
	changed := slices.ContainsFunc(d.units, func(u *unit) bool { return len(u.changed) > 0 })
	if changed {
		var names []string
		for _, m := range d.images {
			names = append(names, m.name)
		}
		return &Refusal{Code: CodeNotInImage, Detail: fmt.Sprintf("nothing that changed is in %s", strings.Join(names, ", ")), Advice: "give the image that was linked from these objects"}
	}
	return &Refusal{Code: CodeNothingChanged, Detail: "original and fixed objects have the same functions and data", Advice: "check that the fix is compiled in, and that the two sides are not the same build"}
}

func (u *unit) report(images []string, allowed []AllowReport) UnitReport {
	r := UnitReport{Name: u.name, New: u.orig == nil, Excluded: u.dropped, Lines: u.onlyLines, Images: images, Allowed: allowed, Gone: u.gone(), Shifted: u.shifted, Changed: []Change{}}
	for _, f := range u.fixed.atoms {
		if d := u.changed[f]; d != nil {
			r.Changed = append(r.Changed, Change{f.name, f.kind.String(), d.String(), d.Old, d.New})
		}
		if d := u.constants[f]; d != nil {
			r.Changed = append(r.Changed, Change{f.name, f.kind.String(), d.String(), "", ""})
		}
	}
	return r
}
