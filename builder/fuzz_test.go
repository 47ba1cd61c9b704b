// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// seeds are small objects of different kinds.
func seeds(f *testing.F) {
	f.Helper()
	l := newLab(f, "-O2", "-g0")
	for _, fixture := range []string{"body/orig", "switch/orig", "thread-local/orig", "goto/orig", "two-units/orig"} {
		f.Add(l.read(l.object(fixture)))
	}
	f.Add(l.read(l.object("switch/fixed", "-fno-function-sections", "-fno-data-sections", "-fcommon")))
}

// FuzzObject: any bytes are an object or an error, and never a panic.
func FuzzObject(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := readObject("fuzz.o", data)
		if err != nil {
			return
		}
		for _, a := range o.atoms {
			if a.data != nil && uint64(len(a.data)) != a.size {
				t.Fatalf("%v: %d bytes of %d", a, len(a.data), a.size)
			}
			for i := range a.refs {
				if r := &a.refs[i]; r.off+uint64(o.arch.Relocs[r.typ].Size) > a.size || r.target == nil && r.sym == nil {
					t.Fatalf("%v: reference %+v", a, r)
				}
			}
		}
	})
}

// FuzzDiffSelf: an object against itself gives an empty patch.
func FuzzDiffSelf(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		orig, err := readObject("fuzz.o", data)
		if err != nil {
			return
		}
		fixed, err := readObject("fuzz.o", bytes.Clone(data))
		if err != nil {
			t.Fatal(err)
		}
		u := newUnit("fuzz.o", orig, fixed, nil, false)
		if len(u.pairs.ambiguous) > 0 {
			return // two of one name: that is refused
		}
		if len(u.changed) > 0 || len(u.constants) > 0 {
			t.Fatalf("changed: %v, %v", u.changed, u.constants)
		}
	})
}

// FuzzDiff: any two objects and an image give a patch or an error.
func FuzzDiff(f *testing.F) {
	l := newLab(f, "-O2")
	image := l.read(l.link("program", l.object("switch/orig")))
	f.Add(l.read(l.object("switch/orig")), l.read(l.object("switch/fixed")), []byte{})
	f.Add(l.read(l.object("body/orig")), l.read(l.object("body/fixed")), image[:4096])
	f.Fuzz(func(t *testing.T, orig, fixed, head []byte) {
		m := append(bytes.Clone(head), image[min(len(head), len(image)):]...)
		r, err := Diff(Options{ID: "fuzz", Pairs: []ObjectPair{{"a.o", orig, fixed}},
			Images: []ImageFile{{Path: "program", Image: io.NewSectionReader(bytes.NewReader(m), 0, int64(len(m)))}}})
		var all Refusals
		if err != nil && errors.As(err, &all) && len(r.Payloads) > 0 {
			t.Fatal("refused, with a payload")
		}
	})
}

// FuzzSpec: any bytes are a patch spec or an error.
func FuzzSpec(f *testing.F) {
	f.Add([]byte("id = \"x\"\n[[allow]]\ncode = \"init-array-changed\"\nname = \"*\"\nreason = \"r\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := ParseSpec("x", data); (s == nil) == (err == nil) {
			t.Fatal(s, err)
		}
	})
}

// FuzzArchive: any bytes are an archive or an error.
func FuzzArchive(f *testing.F) {
	l := newLab(f)
	l.run("ar", "rcs", l.path("a.a"), l.object("body/orig"), l.object("same-names/other"))
	f.Add(l.read(l.path("a.a")))
	f.Fuzz(func(t *testing.T, data []byte) {
		members, err := readArchive(data)
		if err != nil {
			return
		}
		total := 0
		for _, m := range members {
			total += len(m.data)
		}
		if total > len(data) {
			t.Fatalf("%d bytes out of %d", total, len(data))
		}
	})
}
