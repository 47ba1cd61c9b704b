// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// producerOf is what an object's or image's DWARF says of the compiler of its
// first unit, and of the flags where they are recorded; "" where there is none.
func producerOf(d *dwarf.Data) string {
	if d == nil {
		return ""
	}
	e, err := d.Reader().Next()
	if err != nil || e == nil {
		return ""
	}
	text, _ := e.Val(dwarf.AttrProducer).(string)
	return text
}

// readDWARF returns the debug information of a file, nil where it has none that
// can be read.
func readDWARF(data []byte) (d *dwarf.Data) {
	defer func() {
		if recover() != nil { // debug/dwarf trusts the file
			d = nil
		}
	}()
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil || f.Section(".debug_info") == nil {
		return nil
	}
	if d, err = f.DWARF(); err != nil {
		return nil
	}
	return d
}

// producer is producerOf the object.
func (o *object) producer() string {
	if !o.looked {
		o.looked = true
		o.madeBy = guarded(func() string { return producerOf(readDWARF(o.raw)) })
	}
	return o.madeBy
}

// guarded is what f returns; the zero value where it panics over a malformed file.
func guarded[T any](f func() T) (out T) {
	defer func() {
		if recover() != nil {
			var none T
			out = none
		}
	}()
	return f()
}

// unitProducer is the producer of the unit of the image that was compiled from a
// source, "" where that is not told.
func (m *image) unitProducer(source string) string {
	return guarded(func() string {
		f, err := elf.NewFile(m.debug)
		if err != nil || f.Section(".debug_info") == nil {
			return ""
		}
		d, err := f.DWARF()
		if err != nil {
			return ""
		}
		r := d.Reader()
		for e, err := r.Next(); e != nil && err == nil; e, err = r.Next() {
			name, _ := e.Val(dwarf.AttrName).(string)
			if text, _ := e.Val(dwarf.AttrProducer).(string); e.Tag == dwarf.TagCompileUnit && filepath.Base(name) == source {
				return text
			}
			r.SkipChildren()
		}
		return ""
	})
}

// otherFlags tells how the flags that the object's and the image's debug
// information records for the unit differ, "" where that is not known.
func (l *location) otherFlags() string {
	ours := l.object.producer()
	if ours == "" || l.object.file == "" {
		return ""
	}
	theirs := l.image.unitProducer(l.object.file)
	if theirs == "" || ours == theirs {
		return ""
	}
	flags := func(of, not string) string {
		without := strings.Fields(not)
		return strings.Join(slices.DeleteFunc(strings.Fields(of), func(f string) bool { return slices.Contains(without, f) }), " ")
	}
	switch a, b := flags(ours, theirs), flags(theirs, ours); {
	case a == "" && b == "":
		return "the same flags in another order"
	case b == "":
		return "other flags: the object has " + a + " beside those of the image"
	case a == "":
		return "other flags: the image has " + b + " beside those of the object"
	default:
		return fmt.Sprintf("another compiler or other flags: the object has %s, the image %s", a, b)
	}
}

// byClang says whether nothing but clang made the object.
func (o *object) byClang() bool {
	return len(o.compilers) > 0 && !slices.ContainsFunc(o.compilers, func(c string) bool { return !strings.Contains(c, "clang") })
}

// dropsUnused says whether it is certain that the compiler left out static
// variables that nothing refers to: clang does, and gcc unless it keeps the order
// of the source.
func (o *object) dropsUnused() bool {
	if o.byClang() {
		return !strings.Contains(o.producer(), "-fkeep-static-consts")
	}
	optimised, keeps := false, false
	for _, flag := range strings.Fields(o.producer()) {
		switch flag {
		case "-O", "-O1", "-O2", "-O3", "-Os", "-Ofast", "-Oz":
			optimised = true
		case "-O0", "-Og", "-fno-toplevel-reorder", "-fno-unit-at-a-time", "-fkeep-static-consts":
			keeps = true
		}
	}
	return optimised && !keeps
}
