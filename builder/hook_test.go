// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/payload"
)

// hooked is a program of which the fix has hooks of all stages, and a shadow
// variable.
const hooked = `
#include <stdio.h>
static int calls;
static int limit = 3;
static __attribute__((noinline)) int kept(int x) { return x + limit; }
#ifdef FIXED
#include "ulpatch.h"
struct extra { long hits; };
ULPATCH_SHADOW(extra_of, struct extra)
ULPATCH_SHADOW_TABLE(extra_of, 64)
static int first(void) { return kept(calls) < 0; }
static int second(void) { return ++calls, 0; }
static int last(void) { extra_of_release(); return 0; }
ULPATCH_POST_REVERT(last)
ULPATCH_PRE_APPLY(first)
ULPATCH_PRE_APPLY(second)
ULPATCH_POST_APPLY(second)
ULPATCH_PRE_REVERT(first)
#endif
__attribute__((noinline)) int work(void *object)
{
	int n = kept(++calls) * 3;
#ifdef FIXED
	struct extra *e = extra_of_get_or_alloc(object);
	n += e ? (int)++e->hits : 0;
	if (n > 1000)
		extra_of_free(object);
#endif
	return n + (object != 0);
}
int main(int argc, char **argv) { printf("%d\n", work(argv)); return argc & 0; }
`

// hookLab compiles with the header at hand.
func hookLab(t *testing.T, cc string, cflags ...string) *lab {
	l := newLab(t, append(cflags, "-Iinclude", "-Wall", "-Werror")...)
	l.cc = cc
	return l
}

func hookNames(f *payload.File) (names []string) {
	for _, h := range f.Table.Hooks {
		names = append(names, fmt.Sprintf("%s %s", h.Stage, h.Name))
	}
	return names
}

// Hooks come along although nothing refers to them, by stage and line, and with
// all that they need; the bundle says that it has some.
func TestHooks(t *testing.T) {
	want := []string{"pre-apply first", "pre-apply second", "post-apply second", "pre-revert first", "post-revert last"}
	for _, cc := range []string{"gcc", "clang", crossGCC, crossClang} {
		for _, flags := range [][]string{{"-O2"}, {"-O0", "-g"}, {"-O2", "-fno-function-sections", "-fno-data-sections"}, {"-O2", "-fno-pie", "-fcommon"}} {
			t.Run(cc+" "+strings.Join(flags, " "), func(t *testing.T) {
				l := hookLab(t, cc, flags...)
				ldflags := []string{}
				if slices.Contains(flags, "-fno-pie") {
					ldflags = append(ldflags, "-no-pie")
				}
				if cc == crossClang {
					ldflags = append(ldflags, "-fuse-ld=lld")
				}
				r, files := l.diffed(l.twice(hooked, ldflags...))
				f := files[0]
				if got := hookNames(f); !slices.Equal(got, want) {
					t.Errorf("hooks %v, expected %v", got, want)
				}
				if !slices.Equal(r.Manifest.Critical, []string{format.FeatureHooks}) {
					t.Errorf("critical: %v", r.Manifest.Critical)
				}
				if got := functionNames(f); !slices.Equal(got, []string{"work"}) {
					t.Errorf("functions: %v: %v", got, r.Report.Units[0].Changed)
				}
				for _, name := range []string{"extra_of", "extra_of_buckets", "ulpatch_progress_pre_apply_first"} {
					if !defines(f, name) {
						t.Errorf("%s did not come along", name)
					}
				}
				findImport(t, f, "calls")
				findImport(t, f, "mmap")
				if got := len(r.Report.Images[0].Hooks); got != len(want) {
					t.Errorf("%d hooks in the report", got)
				}
			})
		}
	}
}

// Hooks may stand in a file of their own, which no image has.
func TestHooksOfNewUnit(t *testing.T) {
	const program = `
#include <stdio.h>
int state;
#ifdef FIXED
enum { STEP = 2 };
#else
enum { STEP = 1 };
#endif
__attribute__((noinline)) int work(void) { return state += STEP * 7; }
int main(void) { printf("%d\n", work()); return 0; }
`
	const hooks = `
#include "ulpatch.h"
extern int state;
static int check(void) { return state > 100; }
ULPATCH_PRE_APPLY(check)
`
	l := hookLab(t, "gcc", "-O2")
	opts := l.twice(program)
	opts.Pairs = append(opts.Pairs, l.pair("hooks.o", "", l.compile("hooks", hooks)))
	_, files := l.diffed(opts)
	if got := hookNames(files[0]); !slices.Equal(got, []string{"pre-apply check"}) {
		t.Fatalf("hooks %v", got)
	}
	findImport(t, files[0], "state")

	// With two images nobody knows whose they are.
	const other = `
#ifdef FIXED
enum { OTHER = 5 };
#else
enum { OTHER = 4 };
#endif
int state;
__attribute__((noinline)) int other(int x) { return x * OTHER + state; }
int main(int argc, char **argv) { return other(argc); }
`
	orig, fixed := l.compile("other_orig", other), l.compile("other_fixed", other, "-DFIXED")
	opts.Images = append(opts.Images, l.image(l.link("other", orig)))
	opts.Pairs = append(opts.Pairs, l.pair("other.o", orig, fixed))
	l.refused(opts, CodeHook)
}

// A hook that nobody would call, or that is none, is refused.
func TestHooksRefused(t *testing.T) {
	l := hookLab(t, "gcc", "-O2")
	const both = `
#include "ulpatch.h"
static volatile int n;
static int check(void) { return n; }
ULPATCH_PRE_APPLY(check)
#ifdef FIXED
enum { STEP = 2 };
#else
enum { STEP = 1 };
#endif
int main(int argc, char **argv) { return argc * STEP + n; }
`
	all := l.refused(l.twice(both), CodeHook)
	if !strings.Contains(all[0].Detail, "original") {
		t.Error(all)
	}
	// In a unit of an image in which nothing changes, beside one in which something does.
	const idle = `
#ifdef FIXED
#include "ulpatch.h"
static int check(void) { return 0; }
ULPATCH_PRE_APPLY(check)
#endif
__attribute__((noinline)) int idle(int x) { return x * 77 + 5; }
int main(int argc, char **argv) { return idle(argc); }
`
	opts := l.twice(hooked)
	orig, fixed := l.compile("idle_orig", idle), l.compile("idle_fixed", idle, "-DFIXED")
	opts.Images = append(opts.Images, l.image(l.link("idle", orig)))
	opts.Pairs = append(opts.Pairs, l.pair("idle.o", orig, fixed))
	all = l.refused(opts, CodeHook)
	if !strings.Contains(all[0].Detail, "no image") {
		t.Error(all)
	}
	// Hooks alone change nothing.
	opts.Images, opts.Pairs = opts.Images[1:], opts.Pairs[1:]
	l.refused(opts, CodeNothingChanged)
	for name, entry := range map[string]string{
		"too short":    `__attribute__((section(".ulpatch.hooks"), used)) static void *h[2] = {f, &n};`,
		"no function":  `__attribute__((section(".ulpatch.hooks"), used)) static struct { void *a, *b; char *c; int d, e; } h = {&n, &n, "x", 0, 1};`,
		"small":        `__attribute__((section(".ulpatch.hooks"), used)) static struct { void *a, *b; char *c; int d, e; } h = {f, &n, "x", 0, 1};`,
		"stage":        `__attribute__((section(".ulpatch.hooks"), used)) static struct { void *a, *b; char *c; int d, e; } h = {f, &p, "x", 4, 1};`,
		"empty name":   `__attribute__((section(".ulpatch.hooks"), used)) static struct { void *a, *b; char *c; int d, e; } h = {f, &p, "", 0, 1};`,
		"name changes": `__attribute__((section(".ulpatch.hooks"), used)) static struct { void *a, *b; char *c; int d, e; } h = {f, &p, name, 0, 1};`,
		"within":       `__attribute__((section(".ulpatch.hooks"), used)) static struct { void *a, *b; char *c; int d, e; } h = {(char *)f + 4, &p, "x", 0, 1};`,
	} {
		text := `
static int n; static int p[3]; static char name[] = "changes";
static void f(void) { n++; p[0]++; name[0]++; }
#ifdef FIXED
enum { STEP = 2 };
` + entry + `
#else
enum { STEP = 1 };
#endif
int main(int argc, char **argv) { f(); return argc * STEP + n + p[0] + name[0]; }
`
		if all := l.refused(l.twice(text), CodeHook); all[0].Advice == "" {
			t.Errorf("%s: %v", name, all)
		}
	}
}
