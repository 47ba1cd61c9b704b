// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/payload"
)

// lab compiles fixtures in a directory of its own.
type lab struct {
	t      testing.TB
	dir    string
	cc     string
	cflags []string
}

// newCross is a lab for aarch64.
func newCross(t testing.TB, cc string, cflags ...string) *lab {
	t.Helper()
	l := newLab(t, cflags...)
	l.cc = cc
	return l
}

// Compilers for aarch64; l.run splits the second into its words.
const (
	crossGCC   = "aarch64-linux-gnu-gcc"
	crossClang = "clang --target=aarch64-linux-gnu"
)

func newLab(t testing.TB, cflags ...string) *lab {
	t.Helper()
	if len(cflags) == 0 {
		cflags = []string{"-O2"}
	}
	return &lab{t, t.TempDir(), "gcc", append([]string{"-ffunction-sections", "-fdata-sections"}, cflags...)}
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *lab) run(name string, args ...string) {
	l.t.Helper()
	words := strings.Fields(name)
	cmd := exec.Command(words[0], append(words[1:], args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}

// object compiles testdata/FIXTURE.c and returns the object's path.
func (l *lab) object(fixture string, more ...string) string {
	l.t.Helper()
	source := filepath.Join("testdata", fixture+".c")
	out := l.path(strings.NewReplacer("/", "_").Replace(fixture) + ".o")
	l.run(l.cc, slices.Concat(l.cflags, more, []string{"-c", source, "-o", out})...)
	return out
}

// compile compiles a source text.
func (l *lab) compile(name, text string, more ...string) string {
	l.t.Helper()
	source, out := l.path(name+".c"), l.path(name+".o")
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.run(l.cc, slices.Concat(l.cflags, more, []string{"-c", source, "-o", out})...)
	return out
}

// twice compiles a source text as it is and with -DFIXED, and links the original.
func (l *lab) twice(text string, ldflags ...string) Options {
	l.t.Helper()
	orig, fixed := l.compile("orig", text), l.compile("fixed", text, "-DFIXED")
	image := l.link("program", append([]string{orig}, ldflags...)...)
	return Options{ID: "test", Images: []ImageFile{l.image(image)}, Pairs: []ObjectPair{l.pair("unit.o", orig, fixed)}}
}

// link makes an image out of objects and flags.
func (l *lab) link(name string, args ...string) string {
	l.t.Helper()
	out := l.path(name)
	l.run(l.cc, append([]string{"-Wl,--build-id", "-o", out}, args...)...)
	return out
}

func (l *lab) image(path string) ImageFile {
	l.t.Helper()
	return ImageFile{Path: path, Image: l.section(path)}
}

func (l *lab) section(path string) *io.SectionReader {
	l.t.Helper()
	data := l.read(path)
	return io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data)))
}

func (l *lab) read(path string) []byte {
	l.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		l.t.Fatal(err)
	}
	return data
}

func (l *lab) pair(name, orig, fixed string) ObjectPair {
	l.t.Helper()
	p := ObjectPair{Name: name, Fixed: l.read(fixed)}
	if orig != "" {
		p.Orig = l.read(orig)
	}
	return p
}

// simple diffs testdata/FIXTURE/{orig,fixed}.c in an executable.
func (l *lab) simple(fixture string, ldflags ...string) Options {
	l.t.Helper()
	orig, fixed := l.object(fixture+"/orig"), l.object(fixture+"/fixed")
	image := l.link("program", append([]string{orig}, ldflags...)...)
	return Options{ID: "test", Images: []ImageFile{l.image(image)}, Pairs: []ObjectPair{l.pair(fixture+".o", orig, fixed)}}
}

// diffed wants a patch and decodes its payloads. A second run has to give the
// same bytes.
func (l *lab) diffed(opts Options) (*Result, []*payload.File) {
	l.t.Helper()
	r, err := Diff(opts)
	if err != nil {
		l.t.Fatalf("refused: %v", err)
	}
	again, err := Diff(opts)
	if err != nil {
		l.t.Fatalf("second run: %v", err)
	}
	var files []*payload.File
	for i, data := range r.Payloads {
		if !bytes.Equal(data, again.Payloads[i]) {
			l.t.Error("two runs gave different payloads")
		}
		f, err := payload.Decode(data)
		if err != nil {
			l.t.Fatal(err)
		}
		files = append(files, f)
	}
	if _, err := format.Encode(r.Manifest, r.Payloads); err != nil {
		l.t.Fatal(err)
	}
	return r, files
}

// refused wants a refusal with exactly these codes.
func (l *lab) refused(opts Options, codes ...Code) Refusals {
	l.t.Helper()
	r, err := Diff(opts)
	var all Refusals
	if !errors.As(err, &all) {
		l.t.Fatalf("not refused: %v", err)
	}
	if r == nil || len(r.Payloads) > 0 || len(r.Manifest.Payloads) > 0 {
		l.t.Error("a refused patch has payloads")
	}
	var got []Code
	for _, one := range all {
		if !slices.Contains(got, one.Code) {
			got = append(got, one.Code)
		}
		if kinds[one.Code] == nil || !errors.Is(one, kinds[one.Code]) {
			l.t.Errorf("%s has no kind", one.Code)
		}
	}
	slices.Sort(got)
	slices.Sort(codes)
	if !slices.Equal(got, codes) {
		l.t.Fatalf("refused as %v, expected %v:\n%v", got, codes, err)
	}
	return all
}

func functionNames(f *payload.File) (names []string) {
	for _, fn := range f.Table.Functions {
		names = append(names, fn.Name)
	}
	slices.Sort(names)
	return names
}

func findImport(t testing.TB, f *payload.File, symbol string) format.Import {
	t.Helper()
	for _, i := range f.Table.Imports {
		if i.Symbol == symbol {
			return i
		}
	}
	t.Fatalf("no import %q among %v", symbol, f.Table.Imports)
	return format.Import{}
}

func importNames(f *payload.File) (names []string) {
	for _, i := range f.Table.Imports {
		names = append(names, i.Symbol)
	}
	return names
}

func defines(f *payload.File, name string) bool {
	return slices.ContainsFunc(f.Symbols, func(s payload.Symbol) bool { return s.Name == name && s.Section != payload.Undefined })
}
