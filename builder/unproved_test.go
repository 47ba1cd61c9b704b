// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"slices"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/format"
)

const unprovedText = addsOne + `
#include <stdio.h>
static int level = 3;
int table[4] = { 1, 2, 3, 4 };
__attribute__((noinline)) static int helper(int a) { return a * 3 + level++; }
__attribute__((noinline)) int parse(int a, int b) {
#if COUNTED
	static int count = 5;
	b += count++;
#endif
	for (int i = 0; i < a; i++) b += helper(table[i & 3]) % 7;
	if (b > 1000) printf("%d\n", b);
	return a / b + ADD; }
int main(int c, char **v) { return parse(c, c + 1) + helper(c); }
`

// rebuilt is an image of one set of flags, and objects of another.
func rebuilt(t *testing.T, text string, image, objects []string) (*lab, Options) {
	t.Helper()
	l := newLab(t)
	l.cflags = image
	path := l.link("program", l.compile("unit", text), "-pie")
	l.cflags = objects
	orig := l.read(l.compile("unit", text))
	fixed := l.read(l.compile("unit", text, "-DFIXED"))
	return l, Options{ID: "test", Images: []ImageFile{l.image(path)}, Pairs: []ObjectPair{{"unit.o", orig, fixed}}}
}

// TestUnproved: objects that were compiled with other flags than the image are
// refused with the reason, or, where that is wanted, bound by symbols alone, and
// the bundle says so.
func TestUnproved(t *testing.T) {
	plain := []string{"-O2", "-fPIE", "-g", "-DCOUNTED=0"}
	other := append(slices.Clone(plain), "-O1", "-ffunction-sections")
	l, opts := rebuilt(t, unprovedText, plain, other)
	all := l.refused(opts, CodeImageMismatch)
	if why := all[0].Advice; !strings.Contains(why, "other flags") || !strings.Contains(why, "-ffunction-sections") || !strings.Contains(why, "--unproved=warn") {
		t.Errorf("the reason is %q", why)
	}
	opts.Unproved = true
	r, files := l.diffed(opts)
	m, err := readImage("program", l.section(l.path("program")), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := files[0].Table.Functions
	if len(f) != 1 || f[0].Name != "parse" || f[0].Size != m.named["parse"][0].size || uint64(f[0].Addr) != uint64(m.named["parse"][0].addr) {
		t.Errorf("%+v, the image has %+v", f, m.named["parse"])
	}
	for _, name := range []string{"helper", "table"} {
		if imp := findImport(t, files[0], name); uint64(imp.Addr) != uint64(m.named[name][0].addr) {
			t.Errorf("%s: %+v", name, imp)
		}
	}
	if !slices.Equal(r.Manifest.Critical, []string{format.FeatureUnproved}) {
		t.Errorf("critical: %v", r.Manifest.Critical)
	}
	u := r.Report.Images[0].Unproved
	if len(u) != 1 || !slices.Equal(u[0].Functions, []string{"parse"}) || len(r.Report.Warnings) != 1 || !strings.Contains(r.Report.Warnings[0], "by symbol alone") {
		t.Errorf("%+v, %q", u, r.Report.Warnings)
	}
	// What is proved is not marked.
	_, same := rebuilt(t, unprovedText, plain, plain)
	same.Unproved = true
	if r, _ := l.diffed(same); len(r.Manifest.Critical)+len(r.Report.Warnings) > 0 {
		t.Errorf("%v, %q", r.Manifest.Critical, r.Report.Warnings)
	}
}

// TestUnprovedRefused: what an image's symbols do not tell for sure stays refused.
func TestUnprovedRefused(t *testing.T) {
	plain := []string{"-O2", "-fPIE", "-DCOUNTED=1"}
	rebuild := func(flags ...string) []string { return append(slices.Clone(plain), flags...) }
	clone := addsOne + `
__attribute__((noinline)) static int scale(int a, int b) { int s = ADD; for (int i = 0; i < a; i++) s += a % (b + i); return s; }
int other(int a) { for (int i = 0; i < a; i++) a += a % 3; return a; }
int main(int c, char **v) { return scale(c, 7) + other(scale(c + 1, 7)); }`
	inlined := addsOne + `
static int small(int a) { return a * 3 + ADD; }
int other(int a) { for (int i = 0; i < a; i++) a += a % 3; return a; }
int main(int c, char **v) { return small(c) + other(c); }`
	for name, test := range map[string]struct {
		text    string
		objects []string
		code    Code
		names   string
	}{
		"a static local":       {unprovedText, rebuild("-O1"), CodeAmbiguous, "count"},
		"a clone":              {clone, rebuild("-fno-reorder-blocks", "-fno-tree-ch", "-ffixed-r8", "-fno-ivopts"), CodeImageMismatch, "constprop"},
		"inlined in the image": {inlined, rebuild("-fno-inline", "-O1"), CodeImageMismatch, "small"},
		"another value":        {strings.Replace(strings.ReplaceAll(unprovedText, "#if COUNTED", "#if 0"), "{ 1, 2, 3, 4 }", "{ 1, 2, 3, 4 + SET }", 1), rebuild("-DSET=1"), CodeImageMismatch, "table"},
	} {
		t.Run(name, func(t *testing.T) {
			l, opts := rebuilt(t, test.text, append(slices.Clone(plain), "-DSET=0"), test.objects)
			opts.Unproved = true
			if all := l.refused(opts, test.code); !strings.Contains(all.Error(), test.names) {
				t.Errorf("%v does not name %s", all, test.names)
			}
		})
	}
	// The fixed side is what the image was linked from.
	l, opts := rebuilt(t, unprovedText, append(slices.Clone(plain), "-DFIXED"), plain)
	opts.Unproved = true
	l.refused(opts, CodeSwapped)
}
