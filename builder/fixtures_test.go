// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/payload"
)

var update = flag.Bool("update", false, "write the golden reports of TestFixtures anew")

// fixtures holds a folder for each case; testdata/README.md describes it.
const fixtures = "../testdata/diff"

// outcome is what Diff makes of one build of a case.
type outcome struct {
	build   string // x86_64/gcc-plain
	text    string // for the golden report
	refused []Code
	changed []string // functions that are redirected
}

// TestFixtures: what is reported of each case is what its golden report says, for
// each way in which it was built. This needs no compiler: objects and images are
// kept beside their sources.
func TestFixtures(t *testing.T) {
	for _, name := range fixtureCases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outcomes := diffCase(t, name)
			sameWithoutSections(t, name, outcomes)
			golden, got := filepath.Join(fixtures, name, "report.txt"), merge(outcomes)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("another report than %s; if it is right: go test ./builder -run Fixtures -update\n%s", golden, got)
			}
		})
	}
}

func fixtureCases(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(fixtures)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func diffCase(t *testing.T, name string) (all []outcome) {
	t.Helper()
	for _, machine := range []string{"x86_64", "aarch64"} {
		builds, err := filepath.Glob(filepath.Join(fixtures, name, machine, "*", "image"))
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(builds)
		for _, image := range builds {
			all = append(all, diffBuild(t, name, filepath.Dir(image)))
		}
	}
	if len(all) == 0 {
		t.Fatal("nothing was built; make fixtures")
	}
	return all
}

// diffBuild diffs one build twice: the same input has to give the same patch.
func diffBuild(t *testing.T, name, dir string) outcome {
	t.Helper()
	opts := Options{ID: name, Images: []ImageFile{{Path: filepath.Join(dir, "image"), Image: fileSection(t, filepath.Join(dir, "image"))}}}
	var err error
	if opts.Pairs, opts.Missing, err = ReadPairs(filepath.Join(dir, "orig"), filepath.Join(dir, "fixed")); err != nil {
		t.Fatal(err)
	}
	if debug := filepath.Join(dir, "image.debug"); exists(t, debug) {
		if err := AttachDebug(opts.Images, debug, fileSection(t, debug)); err != nil {
			t.Fatal(err)
		}
	}
	if path := filepath.Join(fixtures, name, "spec.toml"); exists(t, path) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if opts.Spec, err = ParseSpec(path, data); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Diff(opts)
	again, _ := Diff(opts)
	o := outcome{build: filepath.Join(filepath.Base(filepath.Dir(dir)), filepath.Base(dir))}
	var refusals Refusals
	switch {
	case errors.As(err, &refusals):
		if len(r.Payloads)+len(again.Payloads) > 0 {
			t.Errorf("%s: a refused patch has payloads", o.build)
		}
	case err != nil:
		t.Fatalf("%s: %v", o.build, err)
	case len(r.Payloads) != 1 || !slices.EqualFunc(r.Payloads, again.Payloads, bytes.Equal):
		t.Errorf("%s: %d payloads, or two runs gave different ones", o.build, len(r.Payloads))
	default:
		if _, err := format.Encode(r.Manifest, r.Payloads); err != nil {
			t.Errorf("%s: %v", o.build, err)
		}
		f, err := payload.Decode(r.Payloads[0])
		if err != nil {
			t.Fatalf("%s: %v", o.build, err)
		}
		o.changed = functionNames(f)
	}
	for _, one := range refusals {
		o.refused = append(o.refused, one.Code)
	}
	slices.Sort(o.refused)
	o.refused = slices.Compact(o.refused)
	o.text = goldenText(r)
	return o
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func fileSection(t *testing.T, path string) *io.SectionReader {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data)))
}

// goldenText is the report as far as it does not depend on where a compiler puts
// what, so that most builds of a case have the same.
func goldenText(r *Result) string {
	var b strings.Builder
	said := map[string]bool{} // without addresses, some are the same
	line := func(format string, args ...any) {
		if text := fmt.Sprintf("  "+format+"\n", args...); !said[text] {
			said[text] = true
			b.WriteString(text)
		}
	}
	for _, refusal := range r.Report.Refusals {
		line("refused: %s: %s: %s", refusal.Code, refusal.Place, anywhere(refusal.Detail))
		if refusal.Advice != "" {
			line("  hint: %s", refusal.Advice)
		}
	}
	for _, u := range r.Report.Units {
		for _, c := range u.Changed {
			line("changed: %s %s (%s)%s", c.Kind, c.Name, u.Name, because(c.Why))
		}
		for _, name := range u.Gone {
			line("gone: %s (%s)", name, u.Name)
		}
		for _, name := range u.Excluded {
			line("excluded: %s (%s)", name, u.Name)
		}
		for _, a := range u.Allowed {
			line("allowed: %s: %s: %s", a.Code, a.Place, anywhere(a.Detail))
		}
	}
	for _, m := range r.Report.Images {
		for _, d := range m.Dropped {
			line("not patched: %s (%s): %s", d.Name, d.Unit, d.Why)
		}
		for _, n := range m.New {
			line("new: %s", n)
		}
		for _, how := range slices.Sorted(slices.Values(importsOf(m.Imports))) {
			line("import: %s", how)
		}
	}
	for _, w := range r.Report.Warnings {
		line("warning: %s", w)
	}
	return b.String()
}

func importsOf(all []ImportReport) (lines []string) {
	for _, i := range all {
		what := map[format.ImportKind]string{format.ImportImage: "of the image", format.ImportTLS: "thread-local, of the image",
			format.ImportDynamic: "dynamic", format.ImportDynamicTLS: "dynamic, thread-local"}[i.Kind]
		name := cmp.Or(i.Name, i.Symbol)
		if i.Version != "" {
			name += "@" + i.Version
		}
		if i.New {
			what = "dynamic, new"
		}
		lines = append(lines, fmt.Sprintf("%s (%s)", name, what))
	}
	return lines
}

var (
	place   = regexp.MustCompile(`\+0x[0-9a-f]+(: |\b)`)
	address = regexp.MustCompile(`0x[0-9a-f]+`)
	telling = regexp.MustCompile(`refers to .*$|other unwind entries|another unwind entry.*`)
	data    = regexp.MustCompile(`data( [0-9a-f]{2})+`)
	instead = regexp.MustCompile(`^refers to (.*) instead of (.*)$`)
)

// anywhere leaves out addresses.
func anywhere(text string) string {
	return address.ReplaceAllString(text, "0x…")
}

// because tells why something changed where that is more than other code.
func because(why string) string {
	reason := place.ReplaceAllString(telling.FindString(why), "")
	if m := instead.FindStringSubmatch(data.ReplaceAllString(reason, "data")); m != nil && m[1] == m[2] {
		if reason = ""; m[1] == "data" {
			reason = "refers to other data"
		}
	}
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// merge lists the builds, those with equal reports together.
func merge(all []outcome) string {
	var b strings.Builder
	done := map[string]bool{}
	for _, o := range all {
		if done[o.text] {
			continue
		}
		done[o.text] = true
		var builds []string
		for _, p := range all {
			if p.text == o.text {
				builds = append(builds, p.build)
			}
		}
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		heading := strings.Join(builds, " ")
		if len(builds) == len(all) {
			heading = "all builds"
		}
		fmt.Fprintf(&b, "%s:\n%s", heading, cmp.Or(o.text, "  nothing\n"))
	}
	return b.String()
}

// otherwise are the plain builds in which more changes, or less can be told, than
// in those with a section for each function and variable; and why.
var otherwise = []struct{ builds, why string }{
	{"code-model-large/*/*-plain-no-pie", "absolute addresses may be bases to which an index is added"},
	{"computed-goto/*/*-plain*", "where a table of labels ends the next one begins"},
	{"constant-table-only/aarch64/gcc-plain", fromAnAnchor},
	{"func-name/aarch64/gcc-plain", fromAnAnchor},
	{"new-variables/aarch64/gcc-plain", fromAnAnchor},
	{"no-plt/aarch64/gcc-plain*", fromAnAnchor},
	{"options/aarch64/gcc-plain-*", fromAnAnchor},
	{"options/x86_64/gcc-plain-O0", "a string behind a constant array is compared with it"},
	{"options/x86_64/gcc-plain-no-pie", "absolute addresses may be bases to which an index is added"},
	{"statics-*/aarch64/gcc-plain", fromAnAnchor},
	{"switch-tables/*/clang-plain*", "clang's tables of values have no names, so that one changes all"},
}

const fromAnAnchor = "gcc reaches several variables from the address of one"

// sameWithoutSections: a fix changes the same functions whether objects have a
// section for each function or not, but for the exceptions above.
func sameWithoutSections(t *testing.T, name string, all []outcome) {
	t.Helper()
	needed := map[string]bool{}
	for _, plain := range all {
		if !strings.Contains(plain.build, "-plain") {
			continue
		}
		i := slices.IndexFunc(all, func(o outcome) bool { return o.build == strings.Replace(plain.build, "-plain", "", 1) })
		if i < 0 {
			t.Errorf("%s: there is no such build with sections", plain.build)
			continue
		}
		if o := all[i]; !slices.Equal(o.changed, plain.changed) || !slices.Equal(o.refused, plain.refused) {
			if pattern, ok := exception(name, plain.build); ok {
				needed[pattern] = true
				continue
			}
			t.Errorf("%s: changes %v %v, and with sections %v %v", plain.build, plain.changed, plain.refused, o.changed, o.refused)
		}
	}
	for _, e := range otherwise {
		if path.Dir(path.Dir(e.builds)) == name && !needed[e.builds] {
			t.Errorf("%s is no exception any more", e.builds)
		}
	}
}

func exception(name, build string) (pattern string, ok bool) {
	for _, e := range otherwise {
		if match, _ := path.Match(e.builds, name+"/"+build); match {
			return e.builds, true
		}
	}
	return "", false
}
