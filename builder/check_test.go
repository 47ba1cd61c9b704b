// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	l := newLab(t, "-O2", "-fPIE")
	objects := l.path("objects")
	if err := os.MkdirAll(objects, 0o700); err != nil {
		t.Fatal(err)
	}
	body := l.object("body/orig")
	program := l.link("program", body, l.object("same-names/other"), "-pie", "-Wl,--gc-sections")
	put := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(objects, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("body.o", l.read(body))
	l.run("ar", "rcs", filepath.Join(objects, "more.a"), l.object("same-names/other"))
	put("else.o", l.read(l.object("library/orig")))
	put("note.txt", []byte("no object"))
	proofs, err := Check([]ImageFile{l.image(program)}, objects)
	if err != nil || len(proofs) != 1 {
		t.Fatal(proofs, err)
	}
	p := proofs[0]
	if !p.Proved() || len(p.Units) == 0 || p.Units[0].Unit != "body.o" || p.Units[0].Different > 0 || p.Units[0].Exact+p.Units[0].Relaxed < 3 || p.Image.BuildID == "" {
		t.Errorf("%+v", p)
	}
	if len(p.Other) == 0 || p.Other[0] != "else.o" {
		t.Errorf("other objects: %v", p.Other)
	}

	for _, test := range []struct {
		name   string
		object []byte
		reason string
	}{
		{"flags", l.read(l.object("body/orig", "-O0")), "other flags"},
		{"version", l.read(l.object("string/fixed")), "another version of the source"},
		{"compiler", bytes.ReplaceAll(l.read(l.object("body/orig", "-O0")), []byte("GCC: ("), []byte("ICC: (")), "another compiler: the object is by ICC"},
	} {
		path := l.path(test.name + ".o")
		if err := os.WriteFile(path, test.object, 0o600); err != nil {
			t.Fatal(err)
		}
		proofs, err := Check([]ImageFile{l.image(program)}, path)
		if err != nil {
			t.Fatal(err)
		}
		u := proofs[0].Units
		if len(u) != 1 || u[0].Proved || u[0].First == "" || !strings.Contains(u[0].Reason, test.reason) {
			t.Errorf("%s: %+v", test.name, u)
		}
	}
	l.run("strip", "-o", l.path("stripped"), program)
	var refused Refusals
	if _, err := Check([]ImageFile{l.image(l.path("stripped"))}, objects); !errors.As(err, &refused) || refused[0].Code != CodeNoSymbols {
		t.Errorf("stripped: %v", err)
	}
	if _, err := Check([]ImageFile{l.image(program)}, l.path("absent")); err == nil {
		t.Error("a tree that is not there was checked")
	}
}
