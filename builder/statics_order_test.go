// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"errors"
	"testing"

	"github.com/ulpatch/ulpatch/format/payload"
)

// TestStaticsInAnotherOrder: of three static locals that are used alike, equal code
// must not turn the first into the second: either each stays what it was, or the
// name is ambiguous.
func TestStaticsInAnotherOrder(t *testing.T) {
	text := `
static unsigned arr2[8] = { 1 }, arr3[8] = { 3 };
static unsigned char buf0[21];
unsigned f1(unsigned x);
unsigned f4(unsigned x) {
	unsigned y = x >> 3;
#ifndef FIXED
	for (unsigned *p = arr3; p != arr3 + 8; p++) x += *p;
#endif
	x += f1(578);
	{ static unsigned count; count += x; y ^= count; }
	{ static unsigned count; count += x; y ^= count; }
	{ static const void *const go[] = { &&a5, &&b5 }; goto *go[x & 1]; a5: y += 3; b5: x ^= y; }
#ifdef FIXED
	{ unsigned char *p = buf0 + sizeof buf0; while (p != buf0) { *--p += 3; y += *p; } }
#endif
	{ unsigned *p = arr2 + 8; do x += *--p; while (p != arr2 && *p < 44); }
	{ static unsigned count; count += x; y ^= count; }
	return x + y;
}
int main(int c, char **v) { arr2[c & 7] = c; arr3[c & 7] = c; return f4(c); }
`
	for _, cc := range []string{"gcc", "clang"} {
		for _, level := range []string{"-O1", "-O2", "-Os"} {
			l := newLab(t, level, "-fno-pie")
			l.cc = cc
			opts := l.twice(text, "-no-pie", l.compile("f1", "unsigned f1(unsigned x) { return x * 3; }"))
			r, err := Diff(opts)
			var all Refusals
			if errors.As(err, &all) && all[0].Code == CodeAmbiguous {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			// Both sides are of one source order, and so are the addresses.
			f, err := payload.Decode(r.Payloads[0])
			if err != nil {
				t.Fatal(err)
			}
			inOrder(t, l, f, cc+" "+level)
		}
	}
}

// inOrder wants the counters where the fixed object's order says.
func inOrder(t *testing.T, l *lab, f *payload.File, what string) {
	t.Helper()
	o, err := readObject("fixed.o", l.read(l.path("fixed.o")))
	if err != nil {
		t.Fatal(err)
	}
	fn := o.byName["f4"][0]
	var site payload.Symbol
	for _, s := range f.Symbols {
		if s.Name == "f4" && s.Section != payload.Undefined {
			site = s
		}
	}
	for i := range fn.refs {
		ref := &fn.refs[i]
		if ref.target == nil || !isStatic(ref.target) || ref.target.kind != kindVariable {
			continue
		}
		for _, r := range f.Sections[site.Section].Relocs {
			if r.Off == site.Value+ref.off && f.Symbols[r.Symbol].Name != ref.target.name {
				t.Errorf("%s: %s became %s", what, ref.target.name, f.Symbols[r.Symbol].Name)
			}
		}
	}
}

// TestStaticsTwiceInARow: where a line is put in before one like it, nothing tells
// whose static local is the one that was there.
func TestStaticsTwiceInARow(t *testing.T) {
	l := newLab(t, "-O2", "-fPIC")
	l.refused(l.twice(`
static unsigned arr0[8] = { 1 }, arr3[8] = { 3 };
struct pair { unsigned a, b; };
static struct pair pairs0[4] = { { 1, 2 }, { 3, 4 } };
unsigned mix(const char *s);
__attribute__((noinline)) unsigned f2(unsigned x) {
	unsigned y = x >> 3;
	{ static const void *const go[] = { &&a1, &&b1 }; goto *go[x & 1]; a1: y += 3; b1: x ^= y; }
#ifdef FIXED
	{ static unsigned last[4]; last[x & 3] += y; y ^= last[y & 3]; }
#endif
	{ static unsigned last[4]; last[x & 3] += y; y ^= last[y & 3]; }
#ifndef FIXED
	pairs0[x & 3] = pairs0[y & 3];
#endif
	{ unsigned *p = arr0, *q = arr3 + 8; while (p != arr0 + 8) y += *p++ * *--q; }
	for (unsigned *p = arr3; p != arr3 + 8; p++) x += *p;
	x += mix("left of it") ^ mix("of it");
	{ static unsigned last[4]; last[x & 3] += y; y ^= last[y & 3]; }
	for (unsigned *p = arr3; p != arr3 + 8; p++) x += *p;
	return x + y;
}
int main(int c, char **v) { arr0[c & 7] = c; arr3[c & 7] = c; pairs0[c & 3].a = c; return f2(c); }
`, "-pie", l.compile("mix", "unsigned mix(const char *s) { return *s; }")), CodeAmbiguous)
}
