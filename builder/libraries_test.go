// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestNewImportOfNoLibrary: a name that the image does not import yet is looked
// for in the libraries that it needs, directly or not.
func TestNewImportOfNoLibrary(t *testing.T) {
	l := newLab(t, "-O2", "-fPIC")
	text := func(name string) string {
		return "int " + name + "(int);\nint parse(int a) {\n#ifdef FIXED\n\ta += " + name + "(a);\n#endif\n\treturn a % 37; }\nint main(int c, char **v) { return parse(c); }"
	}
	deep := l.compile("deep", "int deep_down(int a) { return a; } __attribute__((visibility(\"hidden\"))) int concealed(int a) { return a; }")
	l.link("libdeep.so", deep, "-shared", "-Wl,-soname,libdeep.so")
	shallow := l.compile("shallow", "int deep_down(int); int shallow(int a) { return deep_down(a); }")
	l.link("libshallow.so", shallow, "-shared", "-L"+l.dir, "-ldeep", "-Wl,-soname,libshallow.so")
	needs := []string{"-Wl,--no-as-needed", "-L" + l.dir, "-Wl,-rpath-link," + l.dir, "-lshallow"}
	here := LibraryPath{Sysroot: "/", Dirs: []string{l.dir}}
	tests := []struct {
		name, symbol string
		where        LibraryPath
		link         []string
		from         string // "" where it is not known
		refused      bool
		warning      string
	}{
		{name: "of the C library", symbol: "puts", where: LibraryPath{Sysroot: "/"}, from: "libc.so.6"},
		{name: "of what a library needs", symbol: "deep_down", where: here, link: needs, from: "libdeep.so"},
		{name: "by the image's own run path", symbol: "deep_down", where: LibraryPath{Sysroot: "/"}, link: append(needs, "-Wl,-rpath,$ORIGIN"), warning: "libdeep.so"},
		{name: "of none", symbol: "no_such", where: LibraryPath{Sysroot: "/"}, refused: true},
		{name: "hidden there", symbol: "concealed", where: here, link: needs, refused: true},
		{name: "of a library that is not needed", symbol: "deep_down", where: here, refused: true},
		{name: "a library is missing", symbol: "no_such", where: LibraryPath{Sysroot: "/"}, link: needs, warning: "libshallow.so"},
		{name: "no libraries", symbol: "no_such", where: LibraryPath{Sysroot: l.dir}, warning: "libc.so.6"},
		{name: "not looked for", symbol: "no_such"},
		{name: "of the program that loads the image", symbol: "no_such", where: LibraryPath{Sysroot: "/"}, link: []string{"-shared"}, warning: "program that loads"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			opts := l.twice(text(test.symbol), test.link...)
			opts.Libraries = test.where
			if test.refused {
				if all := l.refused(opts, CodeUndefined); !strings.Contains(all.Error(), test.symbol) {
					t.Errorf("%v does not name %s", all, test.symbol)
				}
				return
			}
			r, _ := l.diffed(opts)
			found := ImportReport{}
			for _, imp := range r.Report.Images[0].Imports {
				if imp.New {
					found = imp
				}
			}
			if found.Name != test.symbol || found.From != test.from {
				t.Errorf("%+v, expected one of %q", found, test.from)
			}
			warned := slices.ContainsFunc(r.Report.Warnings, func(w string) bool {
				return strings.Contains(w, test.warning) && strings.Contains(w, test.symbol)
			})
			if warned != (test.warning != "") {
				t.Errorf("warnings %q", r.Report.Warnings)
			}
		})
	}
	// A file of that name for another CPU is passed over.
	other := t.TempDir()
	if err := os.WriteFile(other+"/libc.so.6", []byte("\x7fELF"), 0o600); err != nil {
		t.Fatal(err)
	}
	opts := l.twice(text("puts"))
	opts.Libraries = LibraryPath{Sysroot: "/", Dirs: []string{other}}
	if r, _ := l.diffed(opts); len(r.Report.Warnings) > 0 {
		t.Errorf("warnings %q", r.Report.Warnings)
	}
}
