// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/format/payload"
)

// TestPlainObject: without section flags, functions and variables are cut at
// their symbols, and calls that the assembler resolved are found again.
func TestPlainObject(t *testing.T) {
	l := newLab(t)
	o, err := readObject("body.o", l.read(l.object("body/orig", "-fno-function-sections", "-fno-data-sections")))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"helper", "parse", "main", "total"} {
		if a := o.byName[name]; len(a) != 1 || a[0].size == 0 || len(a[0].symbols) != 1 {
			t.Errorf("%s: %v", name, a)
		}
	}
	parse := o.byName["parse"][0]
	if i := slices.IndexFunc(parse.refs, func(r ref) bool { return r.target == o.byName["helper"][0] }); i < 0 {
		t.Error("the call of helper was not recovered")
	} else if r := parse.refs[i]; r.landing != 0 || r.sym != nil || !o.arch.BranchReloc(r.typ, parse.data, int(r.off)) {
		t.Errorf("recovered %+v", r)
	}
	if len(parse.frames) != 1 {
		t.Errorf("%d unwind entries", len(parse.frames))
	}
}

// TestPlainDiff: the same patches come out of objects without section flags.
func TestPlainDiff(t *testing.T) {
	for _, fixture := range []string{"body", "additions", "cold", "switch", "goto", "numbered"} {
		t.Run(fixture, func(t *testing.T) {
			t.Parallel()
			sections := newLab(t, "-O2", "-fPIE")
			_, want := sections.diffed(sections.simple(fixture))
			plain := newLab(t, "-O2", "-fPIE", "-fno-function-sections", "-fno-data-sections")
			_, got := plain.diffed(plain.simple(fixture))
			if a, b := functionNames(got[0]), functionNames(want[0]); !slices.Equal(a, b) {
				t.Errorf("changed %v, with sections %v", a, b)
			}
			if a, b := importNames(got[0]), importNames(want[0]); !slices.Equal(a, b) {
				t.Errorf("binds %v, with sections %v", a, b)
			}
		})
	}
}

// TestUnwind: binutils read the payload's unwind entries and relocations.
func TestUnwind(t *testing.T) {
	l := newLab(t)
	r, files := l.diffed(l.simple("cold"))
	path := l.path("payload.o")
	if err := os.WriteFile(path, r.Payloads[0], 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("readelf", "--debug-dump=frames", "-rW", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "Warning") {
		t.Fatalf("readelf: %v\n%s", err, out)
	}
	functions := 0
	for _, s := range files[0].Symbols {
		if s.Section != payload.Undefined && s.Name != "" && files[0].Sections[s.Section].Name == ".text" {
			functions++
		}
	}
	if n := strings.Count(string(out), " FDE "); n != functions {
		t.Errorf("%d FDEs for %d functions", n, functions)
	}
	if n := strings.Count(string(out), " FDE cie=00000000 "); n != functions {
		t.Errorf("%d FDEs lead to the CIE\n%s", n, out)
	}
	if n := strings.Count(string(out), " CIE\n"); n != 1 {
		t.Errorf("%d CIEs", n)
	}
}

func TestCxxObjects(t *testing.T) {
	if _, err := exec.LookPath("g++"); err != nil {
		t.Fatal("g++ is needed: ", err)
	}
	l := newLab(t)
	source := `#include <stdexcept>
#include <vector>
struct Base { virtual ~Base() {} virtual int act(int a) { return a + ADD; } };
struct Derived : Base { int act(int a) override { static int count = a * 2; return a - count; } };
template <typename T> T twice(T v) { if (v < 0) throw std::runtime_error("negative"); return v * 2; }
int run(int a) { try { std::vector<int> v(a); return twice(a) + (int)v.size() + ADD; } catch (const std::exception &) { return -ADD; } }
int main(int argc, char **) { Derived d; Base *b = &d; return run(argc) + b->act(argc); }
`
	build := func(name, add string) string {
		path, out := l.path(name+".cc"), l.path(name+".o")
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		l.run("g++", "-O1", "-ffunction-sections", "-fdata-sections", "-DADD="+add, "-c", path, "-o", out)
		return out
	}
	orig, fixed := build("orig", "3"), build("fixed", "4")
	l.run("g++", "-Wl,--build-id", "-o", l.path("program"), orig)
	opts := Options{ID: "test", Images: []ImageFile{l.image(l.path("program"))}, Pairs: []ObjectPair{l.pair("a.o", orig, fixed)}}
	_, files := l.diffed(opts)
	f := files[0]
	if got := functionNames(f); !slices.Contains(got, "_Z3runi") {
		t.Errorf("changed %v", got)
	}
	if !slices.ContainsFunc(f.Sections, func(s payload.Section) bool { return s.Name == ".gcc_except_table" }) {
		t.Error("no exception table")
	}
	opts.Pairs[0].Fixed = opts.Pairs[0].Orig
	l.refused(opts, CodeNothingChanged)
}

func TestReadPairs(t *testing.T) {
	l := newLab(t)
	orig, fixed := l.object("body/orig"), l.object("body/fixed")
	other := l.object("same-names/other")
	mk := func(name string, files map[string]string) string {
		root := l.path(name)
		for rel, from := range files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, rel)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, rel), l.read(from), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return root
	}
	a := mk("a", map[string]string{"x/body.o": orig, "same.o": other, "gone.o": other})
	b := mk("b", map[string]string{"x/body.o": fixed, "same.o": other, "new.o": other})
	pairs, missing, err := ReadPairs(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if len(pairs) != 2 || pairs[0].Name != "new.o" || pairs[0].Orig != nil || pairs[1].Name != "x/body.o" || !slices.Equal(missing, []string{"gone.o"}) {
		t.Errorf("%d pairs, missing %v", len(pairs), missing)
	}
	// The same as archives, thin ones excepted.
	for name, from := range map[string]string{"a.a": orig, "b.a": fixed} {
		l.run("cp", from, l.path("a_rather_long_member_name.o"))
		l.run("ar", "rcs", l.path(name), l.path("a_rather_long_member_name.o"), other)
	}
	pairs, missing, err = ReadPairs(l.path("a.a"), l.path("b.a"))
	if err != nil || len(missing) > 0 || len(pairs) != 1 || pairs[0].Name != "b.a(a_rather_long_member_name.o)" {
		t.Errorf("%v, missing %v, %v", pairs, missing, err)
	}
	l.run("ar", "rcsT", l.path("thin.a"), orig)
	if _, _, err := ReadPairs(l.path("a.a"), l.path("thin.a")); err == nil || !strings.Contains(err.Error(), "thin") {
		t.Errorf("thin archive: %v", err)
	}
	if _, _, err := ReadPairs(a, fixed); err == nil {
		t.Error("a tree and a file were paired")
	}
	if _, _, err := ReadPairs(orig, l.path("absent.o")); err == nil {
		t.Error("a file that is not there was read")
	}
}

// TestBorder: in a plain object, the end of one array is the start of the next
// variable. What the code does with the address tells which is meant.
func TestBorder(t *testing.T) {
	flags := []string{"-O2", "-fPIE", "-fno-unroll-loops", "-fno-tree-vectorize"}
	l := newLab(t, flags...)
	_, files := l.diffed(l.simple("border"))
	if got := functionNames(files[0]); !slices.Equal(got, []string{"sum"}) || !defines(files[0], "fresh") {
		t.Errorf("changed %v", got)
	}
	plain := newLab(t, append(flags, "-fno-function-sections", "-fno-data-sections")...)
	_, files = plain.diffed(plain.simple("border"))
	f := files[0]
	if got := functionNames(f); !slices.Contains(got, "sum") || !slices.Contains(importNames(f), "values") {
		t.Errorf("changed %v, imports %v", got, importNames(f))
	}
	own := 0
	for _, sec := range f.Sections {
		for _, r := range sec.Relocs {
			if f.Symbols[r.Symbol].Name == "fresh" && r.Addend == -4 {
				own++
			}
		}
	}
	if own == 0 || !defines(f, "fresh") {
		t.Error("nothing refers to fresh")
	}
}

// TestClonesByContent: a clone that got another number is still the same
// function; one whose content differs as well is a new one.
func TestClonesByContent(t *testing.T) {
	l := newLab(t)
	orig := l.object("clone/orig")
	renamed := l.path("renamed.o")
	l.run("objcopy", "--redefine-sym", "scale.constprop.0=scale.constprop.7", orig, renamed)
	o, err := readObject("o", l.read(orig))
	if err != nil {
		t.Fatal(err)
	}
	f, err := readObject("f", l.read(renamed))
	if err != nil {
		t.Fatal(err)
	}
	u := newUnit("clone.o", o, f, nil, false)
	if len(u.changed) > 0 || u.pairs.toOrig[f.byName["scale.constprop.7"][0]] != o.byName["scale.constprop.0"][0] {
		t.Errorf("changed %v", u.changed)
	}
}

// TestFramesCount: a function whose unwind entry differs has changed.
func TestFramesCount(t *testing.T) {
	l := newLab(t)
	path := l.object("body/orig")
	orig, err := readObject("o", l.read(path))
	if err != nil {
		t.Fatal(err)
	}
	fixed, err := readObject("f", l.read(path))
	if err != nil {
		t.Fatal(err)
	}
	frame := fixed.byName["parse"][0].frames[0]
	frame.data = slices.Clone(frame.data)
	frame.data[len(frame.data)-8] ^= 1
	u := newUnit("body.o", orig, fixed, nil, false)
	if len(u.changed) != 1 || u.changed[fixed.byName["parse"][0]] == nil {
		t.Errorf("changed %v", u.changed)
	}
}

// TestCommon: common symbols are variables side by side.
func TestCommon(t *testing.T) {
	l := newLab(t, "-O2", "-fcommon")
	o, err := readObject("o", l.read(l.object("alias/orig")))
	if err != nil {
		t.Fatal(err)
	}
	if a := o.byName["cell"]; len(a) != 1 || a[0].size != 4 || a[0].kind != kindVariable {
		t.Errorf("cell: %v", a)
	}
	opts := l.simple("alias")
	_, files := l.diffed(opts)
	findImport(t, files[0], "cell")
	if o, err = readObject("o", l.read(l.compile("commons", "char a[3]; long b; int c; int *use(int i) { a[i]++; b++; return &c; }"))); err != nil {
		t.Fatal(err)
	}
	var common *section
	for _, name := range []string{"a", "b", "c"} {
		if got := o.byName[name]; len(got) != 1 || len(got[0].symbols) != 1 || got[0].off%got[0].align != 0 || name == "b" && got[0].align != 8 {
			t.Fatalf("%s: %v", name, got)
		}
		common = o.byName[name][0].section
	}
	if len(common.atoms) != 3 {
		t.Errorf("%d atoms of 3 common symbols", len(common.atoms))
	}
}

// TestNoRoomForAJump: what follows a short function is only taken for room if it
// is padding.
func TestNoRoomForAJump(t *testing.T) {
	l := newLab(t)
	path := l.link("program", l.object("padded/orig"))
	m, err := readImage(path, l.section(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	at := m.named["nothing"][0].addr
	code, err := m.read(at, 1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := withPadding(m, code, at, 5)
	if err != nil || len(got) != 5 {
		t.Fatalf("% x, %v", got, err)
	}
	// The bytes of a function with its symbol out of the way.
	main := m.named["main"][0].addr
	m.symbols = slices.DeleteFunc(m.symbols, func(s imageSymbol) bool { return s.addr > main && s.addr < main+16 })
	if code, err = m.read(main, 1); err != nil {
		t.Fatal(err)
	}
	if got, err := withPadding(m, code, main, 5); err == nil {
		t.Errorf("% x taken for padding", got)
	}
}
