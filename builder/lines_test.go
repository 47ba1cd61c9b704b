// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"slices"
	"strings"
	"testing"
)

// TestLines: functions that differ in __LINE__ alone stay, where debug information
// proves that, and are patched where it does not or where that is wanted.
func TestLines(t *testing.T) {
	const moved = `
__attribute__((noinline)) void fail(const char *function, int line) { shown += line + function[0]; }
#define MUST(x) do { if (!(x)) fail(__func__, __LINE__); } while (0)
int parse(int a) {
#ifdef FIXED
	if (a > 1000)
		return -1;
#endif
	return a % 37; }
int checks(int a) { MUST(a > 1); return a / 2; }
int several(int a) {
	MUST(a > 1);
	for (int i = 0; i < a; i++) a ^= i * 3;
	MUST(a > 2);
	return a / 2; }
int grown(int a) { MUST(a > 1); fail("grown", BASE); return a / 2; }
int main(int c, char **v) { return parse(c) + checks(c) + several(c) + grown(c); }
`
	// The same, but that the fixed side has as many lines.
	text := "int shown;\n#ifdef FIXED\n#define BASE 41\n#else\n#define BASE 40\n#endif\n" + strings.Replace(moved, "#ifdef FIXED\n\tif (a > 1000)\n\t\treturn -1;\n#endif\n", "", 1)
	fixed := "int shown;\n#define BASE 41\n" + strings.NewReplacer("#ifdef FIXED\n", "", "#endif\n", "").Replace(moved)
	build := func(cc string, flags ...string) (*lab, Options) {
		l := newLab(t, append([]string{"-O2", "-fPIE", "-fno-inline"}, flags...)...)
		l.cc = cc
		orig := l.compile("unit", text)
		path, before := l.link("program", orig, "-pie"), l.read(orig)
		return l, Options{ID: "test", Images: []ImageFile{l.image(path)}, Pairs: []ObjectPair{{"unit.o", before, l.read(l.compile("unit", fixed))}}}
	}
	plain := []string{"-fno-function-sections", "-fno-data-sections"}
	for _, cc := range []string{"gcc", "clang", crossGCC, crossClang} {
		for _, flags := range [][]string{{"-g"}, append([]string{"-g"}, plain...), append([]string{"-gdwarf-4"}, plain...)} {
			l, opts := build(cc, flags...)
			r, files := l.diffed(opts)
			if got := functionNames(files[0]); !slices.Equal(got, []string{"grown", "parse"}) {
				t.Errorf("%s %v: changed %v", cc, flags, got)
			}
			if got := r.Report.Units[0].Lines; !slices.Contains(got, "checks") || !slices.Contains(got, "several") {
				t.Errorf("%s %v: only lines: %v", cc, flags, got)
			}
			opts.Lines = true
			if _, files = l.diffed(opts); !slices.Contains(functionNames(files[0]), "checks") {
				t.Errorf("%s %v: with Lines: %v", cc, flags, functionNames(files[0]))
			}
		}
		l, opts := build(cc)
		if _, files := l.diffed(opts); !slices.Contains(functionNames(files[0]), "checks") {
			t.Errorf("%s: without debug information: %v", cc, functionNames(files[0]))
		}
	}
}
