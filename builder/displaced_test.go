// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// onTheHeap has functions that use what a process has allocated, and a MEMBER
// that a fix may put before what they use.
const onTheHeap = `
void *malloc(unsigned long);
struct state { int kind; MEMBER int level, depth, calls; long total; char *name; };
__attribute__((noinline)) struct state *start(int a) { struct state *s = malloc(sizeof *s); s->kind = a; s->level = s->depth = s->calls = 0; s->total = 7; s->name = "x"; return s; }
__attribute__((noinline)) int parse(struct state *s, int a) { s->calls++; s->total += a; return a * s->USED CHANGE; }
__attribute__((noinline)) int count(struct state *s) { return s->total + s->name[s->USED]; }
int main(int argc, char **argv) { struct state *s = start(argc); return parse(s, argc) + count(s); }
`

// TestShifted: where nothing tells types, a warning says that many accesses moved
// by one distance; a fix that uses another field is none of that, and neither is
// a frame that grew.
func TestShifted(t *testing.T) {
	const member, none = "-DMEMBER=long limit;", "-DMEMBER="
	for _, cc := range []string{"gcc", "clang", crossGCC} {
		for _, test := range []struct {
			fix  []string
			warn bool
		}{
			{[]string{member, "-DCHANGE=", "-DUSED=level"}, true},
			{[]string{none, "-DCHANGE=", "-DUSED=depth"}, false},
			{[]string{none, "-DCHANGE=+({int b[40]; start((long)b); b[a];})", "-DUSED=level"}, false},
		} {
			t.Run(cc+" "+strings.Join(test.fix, " "), func(t *testing.T) {
				l := newLab(t)
				l.cc = cc
				orig := l.compile("orig", onTheHeap, none, "-DCHANGE=", "-DUSED=level")
				fixed := l.compile("fixed", onTheHeap, test.fix...)
				opts := Options{ID: "test", Images: []ImageFile{l.image(l.link("program", orig))}, Pairs: []ObjectPair{l.pair("unit.o", orig, fixed)}}
				r, _ := l.diffed(opts)
				s := r.Report.Units[0].Shifted
				if !test.warn {
					if s != nil || len(r.Report.Warnings) > 0 {
						t.Errorf("%+v, %q", s, r.Report.Warnings)
					}
					return
				}
				if s == nil || s.By <= 0 || s.Accesses < 4 || !slices.Contains(s.Functions, "parse") || !slices.Contains(s.Functions, "count") || len(s.First) != firstPlaces {
					t.Fatalf("%+v", s)
				}
				if w := r.Report.Warnings; len(w) != 1 || !strings.Contains(w[0], fmt.Sprintf("moved by %+d bytes", s.By)) || !strings.Contains(w[0], s.First[0]) {
					t.Errorf("%q", w)
				}
			})
		}
	}
}

// TestShiftedByRegister: a function that has the address of a variable in a
// register, and differs in nothing but how far behind it reads, uses another
// layout. Where the register may point anywhere that is not for certain.
func TestShiftedByRegister(t *testing.T) {
	const text = `
struct state { int calls, INSERTED level, spare[8 - N]; } state;
extern struct state *where;
struct state *where = &state;
__attribute__((noinline)) int parse(int a) { return a * state.level++ + state.level; }
__attribute__((noinline)) int reach(int a) { return a * where->level; }
int main(int argc, char **argv) { return parse(argc); }
`
	for _, cc := range []string{"gcc", crossGCC} {
		for _, pic := range []string{"-fPIE", "-fPIC"} {
			t.Run(cc+pic, func(t *testing.T) {
				l := newLab(t, "-O2", pic)
				l.cc = cc
				orig := l.compile("orig", text, "-DINSERTED=", "-DN=0")
				fixed := l.compile("fixed", text, "-DINSERTED=limit,", "-DN=1")
				image := l.link("program", orig, map[string]string{"-fPIE": "-pie", "-fPIC": "-shared"}[pic])
				opts := Options{ID: "test", Images: []ImageFile{l.image(image)}, Pairs: []ObjectPair{l.pair("unit.o", orig, fixed)}}
				all := l.refused(opts, CodeLayout)
				if !strings.Contains(all.Error(), "state+0x8 instead of state+0x4") {
					t.Error(all)
				}
				opts.Spec = &Spec{Allow: []Allow{{Code: CodeLayout, Name: "state", Reason: "r"}}}
				if _, files := l.diffed(opts); !slices.Equal(functionNames(files[0]), []string{"parse", "reach"}) {
					t.Errorf("%v", functionNames(files[0]))
				}
			})
		}
	}
}

// TestShiftedElsewhere: so does one that has the address of a variable of another
// unit.
func TestShiftedElsewhere(t *testing.T) {
	const text = `
extern struct { int calls, INSERTED level, spare[8]; } state;
__attribute__((noinline)) int parse(int a) { return a * state.level++ + state.level; }
int main(int argc, char **argv) { return parse(argc); }
`
	for _, cc := range []string{"gcc", crossGCC} {
		for _, pic := range []string{"-fPIE", "-fPIC"} {
			t.Run(cc+pic, func(t *testing.T) {
				l := newLab(t, "-O2", pic)
				l.cc = cc
				orig, fixed := l.compile("orig", text, "-DINSERTED="), l.compile("fixed", text, "-DINSERTED=limit,")
				image := l.link("program", orig, l.compile("other", "int state[16];"))
				opts := Options{ID: "test", Images: []ImageFile{l.image(image)}, Pairs: []ObjectPair{l.pair("unit.o", orig, fixed)}}
				if all := l.refused(opts, CodeLayout); all[0].Name != "state" {
					t.Error(all)
				}
			})
		}
	}
}

// TestNotShifted: what a register points to otherwise is not the variable that
// an instruction before refers to.
func TestNotShifted(t *testing.T) {
	for name, test := range map[string]struct {
		cc    string
		flags []string
		text  string
	}{
		"a pointer out of a table": {"gcc", []string{"-O2", "-fno-pic", "-no-pie"}, `
struct state { int calls, level, spare[8]; };
static struct state *table[4];
__attribute__((noinline)) int set(struct state *s, int i) { table[i & 3] = s; return i; }
__attribute__((noinline)) int parse(long i) { return table[i]->USED; }
int main(int argc, char **argv) { return set((struct state *)argv, argc) + parse(argc & 3); }`},
		"the variable behind": {crossGCC, []string{"-O2", "-fPIE"}, `
static struct { int calls, level; } one, two;
__attribute__((noinline)) int set(int i) { one.calls = one.level = i; two.calls = two.level = i + 1; return i; }
__attribute__((noinline)) int parse(int a) { return a * one.calls - two.USED; }
int main(int argc, char **argv) { return set(argc) + parse(argc); }`},
		"what a function returned": {crossGCC, []string{"-O2", "-fPIC"}, `
struct state { int calls, level; };
struct state *malloc(unsigned long);
__attribute__((noinline)) int parse(int a) { return malloc(a)->USED; }
int main(int argc, char **argv) { return parse(argc); }`},
		"another way to go": {"gcc", []string{"-O2", "-fPIC", "-shared"}, `
struct state { int calls, level, spare[8]; } state;
__attribute__((noinline)) int set(int i) { state.calls = state.level = i; return i; }
#define NAME(x) #x
#define TEXT(x) NAME(x)
asm(".set calls, 0\n.set level, 4\n.text\n.globl parse\n.type parse, @function\nparse: mov state@GOTPCREL(%rip), %rax\n test %edi, %edi\n"
    " jz way_" TEXT(USED) "\n mov " TEXT(USED) "(%rax), %eax\n ret\nway_calls: xor %eax, %eax\nway_level: nop\n ret\n.size parse, . - parse\n");`},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.cc, l.cflags = test.cc, test.flags
			orig, fixed := l.compile("orig", test.text, "-DUSED=calls"), l.compile("fixed", test.text, "-DUSED=level")
			image := l.link("program", append([]string{orig}, test.flags...)...)
			_, files := l.diffed(Options{ID: "test", Images: []ImageFile{l.image(image)}, Pairs: []ObjectPair{l.pair("unit.o", orig, fixed)}})
			if got := functionNames(files[0]); !slices.Equal(got, []string{"parse"}) {
				t.Errorf("%v", got)
			}
		})
	}
}
