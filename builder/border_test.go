// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"slices"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/format/payload"
)

// plainLab compiles without section flags, variables in the order of the source.
func plainLab(t *testing.T, more ...string) *lab {
	t.Helper()
	return newLab(t, append([]string{"-O2", "-fPIE", "-fno-function-sections", "-fno-data-sections", "-fno-toplevel-reorder",
		"-fno-unroll-loops", "-fno-tree-vectorize", "-fno-inline", "-Wno-unused"}, more...)...)
}

// TestBorders: what a place between two variables means, by what the process and
// the payload have there.
func TestBorders(t *testing.T) {
	tests := []struct {
		name, text string
		refused    string // what the refusal names; "" if there is none
		cc         string // "" for gcc
	}{
		{name: "both in the image", text: `
static int values[8] = { 1 }, tail[4] = { 3 };
int sum(int a) { for (int *p = values; p != values + 8; p++) a += *p + ADD; return a; }
int main(int c, char **v) { tail[c & 3]++; values[c & 7]++; return sum(c); }`},
		{name: "both new", text: `
#ifdef FIXED
static char before = 2, fresh[7] = { 1 }, other[9] = { 3 };
char *last;
int sum(int a) { __asm__("lea fresh+7(%%rip), %0" : "=r"(last)); fresh[a & 3]++; return a + other[a & 7]++; }
#else
int sum(int a) { return a; }
#endif
int main(int c, char **v) { return sum(c); }`},
		{name: "both in the image and apart there", refused: "tail", text: `
int *last;
static int values[8] = { 1 };
#ifndef FIXED
static int between[8] = { 7 };
#endif
static int tail[4] = { 3 };
int sum(int a) { last = values + 8; return a + tail[a & 3]++ + ADD; }
int main(int c, char **v) { tail[c & 3]++; values[c & 7]++;
#ifndef FIXED
	between[c & 3]++;
#endif
	return sum(c); }`},
		{name: "one of them new", refused: "fresh", text: `
int *last;
static int values[8] = { 1 };
#ifdef FIXED
static int fresh[8] = { 3 };
#endif
static int tail[8] = { 5 };
int sum(int a) { last = values + 8;
#ifdef FIXED
	a += fresh[a & 7]++;
#endif
	return a; }
int main(int c, char **v) { return sum(c) + tail[c & 7]++ + values[c & 7]++; }`},
		{name: "read and written there", text: `
static int values[8] = { 1 };
#ifdef FIXED
static int fresh = 3;
#endif
extern void use(int *);
int sum(int a) { use(values);
#ifdef FIXED
	if (fresh > a) return fresh++;
#endif
	return a; }
int main(int c, char **v) { return sum(c); }`},
		{name: "only its address is taken, twice", refused: "fresh", text: `
static int values[8] = { 1 };
#ifdef FIXED
static int fresh = 3;
#endif
extern void use(int *);
int sum(int a) { use(values);
#ifdef FIXED
	use(&fresh);
#endif
	return a; }
int main(int c, char **v) {
#ifdef FIXED
	use(&fresh);
#endif
	return sum(c); }`},
		{name: "its address is taken once, and unused ones are kept", refused: "fresh", text: `
static int values[4] = { 1 };
#ifdef FIXED
static int fresh = 3;
#endif
extern void use(int *);
int sum(int a) { use(values);
#ifdef FIXED
	use(&fresh);
#endif
	return a; }
int main(int c, char **v) { return sum(c); }`},
		{name: "its address is taken once, and unused ones are dropped", cc: "clang", text: `
static int values[4] = { 1 };
#ifdef FIXED
static int fresh = 3;
#endif
extern void use(int *);
int sum(int a) { use(values);
#ifdef FIXED
	use(&fresh);
#endif
	return a; }
int main(int c, char **v) { return sum(c); }`},
		{name: "the same instruction meant it before", text: `
#ifdef FIXED
static int fresh[8] = { 3 };
#endif
static int values[8] = { 1 };
extern void use(int *), step(int), stop(int);
int sum(int a) {
#ifdef FIXED
	use(fresh);
#endif
	step(a); use(values); stop(a);
	return a; }
int main(int c, char **v) { use(values); return sum(c); }`},
		{name: "a base before the array", refused: "values-0x4", text: `
#ifdef FIXED
static int fresh = 3;
#endif
static int values[8] __attribute__((used)) = { 1 };
extern void use(int *);
int sum(int a) { int *p;
#ifdef FIXED
	use(&fresh);
	__asm__("lea values-4(%%rip), %0" : "=r"(p));
	a += p[a];
#endif
	return a; }
int main(int c, char **v) { use(values); return sum(c); }`},
		{name: "a base before the array, both in the image", text: `
static int one = 3;
static int values[8] __attribute__((used)) = { 1 };
extern void use(int *);
int sum(int a) { int *p;
#ifdef FIXED
	__asm__("lea values-4(%%rip), %0" : "=r"(p));
	a += p[a];
#endif
	use(&one);
	return a; }
int main(int c, char **v) { use(values); use(&one); return sum(c); }`},
		{name: "a base before the section", text: `
static int values[8] __attribute__((used)) = { 1 };
static int other = 5;
extern void use(int *);
int sum(int a) { int *p;
#ifdef FIXED
	__asm__("lea values-400(%%rip), %0" : "=r"(p));
	a += p[a];
#endif
	return a; }
int main(int c, char **v) { use(values); use(&other); return sum(c); }`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := plainLab(t)
			if test.cc != "" {
				l = newLab(t, "-O2", "-fPIE", "-fno-function-sections", "-fno-data-sections", "-fno-inline")
				l.cc = test.cc
			}
			extern := l.compile("extern", "int shown; void use(int *p) { shown += *p; } void step(int a) { shown += a; } void stop(int a) { shown -= a; }")
			text := "#ifdef FIXED\n#define ADD 1\n#else\n#define ADD 0\n#endif\n" + test.text
			opts := l.twice(text, extern)
			if test.refused != "" {
				if all := l.refused(opts, CodeAmbiguous); !strings.Contains(all.Error(), test.refused) {
					t.Errorf("%v does not name %s", all, test.refused)
				}
				return
			}
			_, files := l.diffed(opts)
			if got := functionNames(files[0]); !slices.Contains(got, "sum") {
				t.Errorf("changed %v", got)
			}
			if defines(files[0], "other") { // fresh and other, side by side
				if d := symbolAt(t, files[0], "other") - symbolAt(t, files[0], "fresh"); d != 7 {
					t.Errorf("%d bytes between fresh and other", d)
				}
			}
		})
	}
}

func symbolAt(t *testing.T, f *payload.File, name string) int64 {
	t.Helper()
	for _, s := range f.Symbols {
		if s.Name == name && s.Section != payload.Undefined {
			return int64(s.Value)
		}
	}
	t.Fatalf("no symbol %s", name)
	return 0
}

// TestBorderLiteral: a table behind which a constant lies that the image has
// stays where the image has it, too.
func TestBorderLiteral(t *testing.T) {
	l := plainLab(t)
	_, files := l.diffed(l.twice(`
static const int CSWTCH_like[104] __asm__("CSWTCH.1") = { 1, 2, 3 };
static const int named[8] = { 4, 5, 6 };
const int *last;
int shown;
void use(const int *p) { shown += *p; }
int sum(int a) {
	__asm__("lea CSWTCH.1+416(%%rip), %0" : "=r"(last));
	a = a * 3 + CSWTCH_like[a & 63];
#ifdef FIXED
	use(named + 1);
#endif
	use(named);
	return a; }
int main(int c, char **v) { use(named); return sum(c); }`))
	names := importNames(files[0])
	if !slices.Contains(names, "named") || !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, ".rodata") }) {
		t.Errorf("binds %v", names)
	}
}

// TestManyStatics: static locals of one name are told apart by the instructions
// round them, also in a function to which another was added.
func TestManyStatics(t *testing.T) {
	text := `
extern void warn(const char *, _Bool *);
#define ONCE(text) do { static _Bool once; if (!once) warn(text, &once); } while (0)
int parse(int a) {
	if (a > 1) ONCE("one");
#ifdef FIXED
	if (a > 2) ONCE("new");
#endif
	if (a > 3) ONCE("two");
	if (a > 4) ONCE("three");
	if (a > 5) ONCE("four");
	return a; }
int main(int c, char **v) { return parse(c); }`
	for _, flags := range [][]string{nil, {"-fno-function-sections", "-fno-data-sections"}} {
		l := newLab(t, append([]string{"-O2", "-fPIE"}, flags...)...)
		warn := l.compile("warn", "void warn(const char *s, _Bool *p) { *p = *s; }")
		_, files := l.diffed(l.twice(text, warn))
		fresh := 0
		for _, s := range files[0].Symbols {
			if strings.HasPrefix(s.Name, "once.") && s.Section != payload.Undefined {
				fresh++
			}
		}
		if bound := len(slices.DeleteFunc(importNames(files[0]), func(n string) bool { return !strings.HasPrefix(n, "once.") })); fresh != 1 || bound != 4 {
			t.Errorf("%v: %d new, %d bound", flags, fresh, bound)
		}
	}
}

// TestStaticsByData: what only another static refers to is paired by that.
func TestStaticsByData(t *testing.T) {
	l := newLab(t)
	_, files := l.diffed(l.twice(`
#ifdef FIXED
#define SECOND "node.91"
#define NUMBER "node.90"
#else
#define SECOND "node.90"
#define NUMBER "node.92"
#endif
struct list { struct list *next; int value; };
__attribute__((noinline)) int first(int a) {
#ifdef FIXED
	static int node_; node_ += a; a += node_;
#endif
	return a; }
__attribute__((noinline)) struct list *get(int a) {
	static struct list node = { 0, 1 };
	{ static struct list node2 __asm__(SECOND) = { &node, 2 };
	  static struct list node3 __asm__(NUMBER) = { &node2, 3 };
	  node3.value += a; return &node3; } }
int main(int c, char **v) { return first(c) + get(c)->value; }
`, "-no-pie"))
	if got := functionNames(files[0]); !slices.Equal(got, []string{"first"}) {
		t.Errorf("changed %v", got)
	}
}

// TestLabelTables: tables of labels that cannot be told apart come along with the
// function that they are of.
func TestLabelTables(t *testing.T) {
	l := newLab(t, "-O2", "-fPIE")
	_, files := l.diffed(l.twice(addsOne + `
int run(int x) {
#ifdef FIXED
	{ static const void *const go[] = { &&e, &&f }; goto *go[x & 1]; e: x += 9; f: x ^= 77; }
#endif
	{ static const void *const go[] = { &&a, &&b }; goto *go[x & 1]; a: x += 3; b: x ^= 7; }
	{ static const void *const go[] = { &&c, &&d }; goto *go[x & 1]; c: x += 3; d: x ^= 7; }
	return x; }
int main(int c, char **v) { return run(c); }`))
	tables := 0
	for _, s := range files[0].Symbols {
		if strings.HasPrefix(s.Name, "go.") && s.Section != payload.Undefined {
			tables++
		}
	}
	if tables != 3 {
		t.Errorf("%d tables", tables)
	}
}

// TestShortJump: a jump to the next function that fits in a byte keeps its
// distance, if both functions come along.
func TestShortJump(t *testing.T) {
	text := addsOne + `
__attribute__((used)) static int next(int a);
int parse(int a) { a = a * 3 + ADD; __asm__ volatile("test %0, %0; js next" :: "r"(a)); return a; }
__attribute__((used)) static int next(int a) { return a % 7 + BOTH; }
int main(int c, char **v) { return parse(c) + next(c); }`
	l := plainLab(t, "-fno-align-functions")
	opts := l.twice(strings.ReplaceAll(text, "BOTH", "ADD"))
	_, files := l.diffed(opts)
	if got := functionNames(files[0]); !slices.Equal(got, []string{"next", "parse"}) {
		t.Fatalf("changed %v", got)
	}
	o, err := readObject("o", l.read(l.path("fixed.o")))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := symbolAt(t, files[0], "next")-symbolAt(t, files[0], "parse"), int64(o.byName["next"][0].off-o.byName["parse"][0].off); got != want {
		t.Errorf("next is %d bytes behind parse, in the object %d", got, want)
	}
	all := l.refused(l.twice(strings.ReplaceAll(text, "BOTH", "0")), CodeRelocation)
	if !strings.Contains(all.Error(), "short jump to next") {
		t.Error(all)
	}
}

// TestClangStatics: of clang's static locals of one name the first has no number,
// and need not be the one that was the first.
func TestClangStatics(t *testing.T) {
	l := newLab(t, "-O2", "-fPIE")
	l.cc = "clang"
	warn := l.compile("warn", "void warn(const char *s, int *p) { *p = *s; }")
	_, files := l.diffed(l.twice(`
extern void warn(const char *, int *);
int parse(int a) {
#ifdef FIXED
	if (a > 2) { static int once; if (!once) warn("new", &once); }
#endif
	if (a > 3) { static int once; if (!once) warn("old", &once); }
	return a; }
int main(int c, char **v) { return parse(c); }`, warn))
	fixed, err := readObject("fixed", l.read(l.path("fixed.o")))
	if err != nil {
		t.Fatal(err)
	}
	orig, err := readObject("orig", l.read(l.path("orig.o")))
	if err != nil {
		t.Fatal(err)
	}
	pairs := correlate(orig, fixed)
	if old := pairs.toFixed[orig.byName["parse.once"][0]]; old == nil || old.name == "parse.once" || len(importNames(files[0])) != 2 {
		t.Errorf("parse.once is %v, binds %v", old, importNames(files[0]))
	}
}

// TestInsertedStatic: a static local whose code was put in before code that
// begins like it cannot be told from the one that was there.
func TestInsertedStatic(t *testing.T) {
	l := newLab(t, "-O1", "-fPIE")
	l.refused(l.twice(`
static const unsigned table[16] = { 31, 4, 36, 9, 7, 7, 1 };
unsigned some[8] = { 7, 23, 3 }, more[8] = { 7, 75, 3 };
unsigned parse(unsigned x) {
	unsigned y = x >> 3;
#ifdef FIXED
	{ static _Bool once; if (!once) { once = 1; x += 39; } }
	x = x * 31 + table[y & 15];
#endif
	{ static _Bool once; if (!once) { once = 1; x += 42; } }
	x = x * 31 + (x >> 1);
	some[y & 7] += x >> 1;
	for (unsigned i = 1 + (x & 1); i < 8; i++)
		y += more[i - 1] * i;
	return x + y; }
int main(int c, char **v) { return parse(c) + table[c & 7]; }`), CodeAmbiguous)
}
