// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"debug/elf"
	"io"
	"slices"
	"strings"
	"testing"
)

// TestCrossChanges: the same changes of the same functions in objects for
// aarch64, on whatever host this runs.
func TestCrossChanges(t *testing.T) {
	fixtures := map[string]string{ // fixture: functions that change
		"body": "parse", "additions": "parse", "import": "parse", "string": "parse", "cold": "work", "constant": "pick row",
		"thread-local": "pick", "pointer": "act choose", "switch": "scale step", "goto": "run", "alias": "other_name use", "end": "sum",
		"numbered": "one three", "removed": "",
	}
	modes := map[string][]string{
		"pie":    {"-O2", "-fPIE", "-pie"},
		"pic":    {"-O2", "-fPIC", "-pie"},
		"no-pie": {"-O2", "-fno-pie", "-no-pie"},
		"bti":    {"-O3", "-fPIE", "-mbranch-protection=standard", "-pie"},
		"O0":     {"-O1", "-fPIE", "-pie"},
		"plain":  {"-O2", "-fPIE", "-fno-function-sections", "-fno-data-sections", "-pie"},
	}
	for mode, flags := range modes {
		for fixture, want := range fixtures {
			t.Run(mode+"/"+fixture, func(t *testing.T) {
				t.Parallel()
				if mode == "plain" && (fixture == "additions" || fixture == "numbered" || fixture == "removed") {
					return // TestAnchors
				}
				link := flags[len(flags)-1]
				l := newCross(t, crossGCC, flags[:len(flags)-1]...)
				r, files := l.diffed(l.simple(fixture, link))
				if got := functionNames(files[0]); mode != "O0" && want != "" && !slices.Equal(got, strings.Fields(want)) {
					t.Errorf("changed %v, expected %s", got, want)
				}
				if p := r.Report.Images[0].Proofs[0]; p.Different > 0 || p.Exact+p.Relaxed == 0 || r.Report.Images[0].Image.Machine != "arm64" {
					t.Errorf("%+v", p)
				}
			})
		}
	}
}

// TestAnchors: gcc reaches variables by their distance from one of them. In an
// object without section flags a new variable among them is refused, because no
// relocation tells which are meant.
func TestAnchors(t *testing.T) {
	text := addsOne + `
static int first, second;
#ifdef FIXED
static int fresh;
#endif
static int third;
__attribute__((noinline)) int step(int a) {
	first += a; second -= a; third ^= a;
#ifdef FIXED
	fresh += a;
#endif
	return first + second * 2 + third * 3; }
int main(int c, char **v) { return step(c) + step(c); }`
	l := newCross(t, crossGCC, "-O2", "-fPIE", "-fno-function-sections", "-fno-data-sections")
	l.refused(l.twice(text, "-pie"), CodeAmbiguous)
	// Without anchors each access has a relocation.
	l = newCross(t, crossGCC, "-O2", "-fPIE", "-fno-function-sections", "-fno-data-sections", "-fno-section-anchors", "-fno-toplevel-reorder")
	_, files := l.diffed(l.twice(text, "-pie"))
	if got := importNames(files[0]); !slices.Equal(got, []string{"first", "second", "third"}) || !defines(files[0], "fresh") {
		t.Errorf("imports %v", got)
	}
	_, files = l.diffed(l.twice(strings.ReplaceAll(strings.ReplaceAll(text, "static int fresh;", ""), "fresh += a;", "first += 2;"), "-pie"))
	if got := functionNames(files[0]); !slices.Equal(got, []string{"step"}) {
		t.Errorf("changed %v", got)
	}
	l = newCross(t, crossGCC, "-O2", "-fPIE")
	l.diffed(l.twice(text, "-pie"))
}

// TestSmallTable: with -fpic, code computes the address of its module's own table
// of slots. It is proved, and refused in a patch, whose slots are elsewhere.
func TestSmallTable(t *testing.T) {
	l := newCross(t, crossGCC, "-O2", "-fpic")
	opts := l.twice(addsOne+`
int level = 3;
int (*chosen)(int);
__attribute__((noinline)) int quiet(int a) { return a % 7 + ADD; }
__attribute__((noinline)) int parse(int a) { return level + chosen(a)
#ifdef LOUD
	+ 1
#endif
	; }
int main(int c, char **v) { chosen = quiet; return parse(c) + quiet(c); }`, "-pie")
	if _, files := l.diffed(opts); !slices.Contains(functionNames(files[0]), "quiet") {
		t.Errorf("changed %v", functionNames(files[0]))
	}
	loud := l.compile("fixed", strings.ReplaceAll(string(l.read(l.path("fixed.c"))), "#ifdef LOUD", "#ifdef FIXED"), "-DFIXED")
	opts.Pairs[0] = l.pair("unit.o", l.path("orig.o"), loud)
	if all := l.refused(opts, CodeRelocation); !strings.Contains(all.Error(), "global offset table") {
		t.Error(all)
	}
}

// TestErratum: linkers move a load that they take for one from the page behind an
// adrp at its end, even if it has no relocation. Nothing else may stand there.
func TestErratum(t *testing.T) {
	l := newCross(t, crossGCC, "-O2", "-fPIE")
	opts := l.twice(addsOne+`
asm(".text\n.balign 4096\n.globl late\n.type late, %function\nlate:\n.rept 1023\nnop\n.endr\n"
    "adrp x1, :got:environ\nldr x1, [x1, :got_lo12:environ]\nldr x3, [sp]\nldr x2, [x1]\nret\n.size late, . - late\n");
__attribute__((noinline)) int parse(int a) { return a % 7 + ADD; }
int main(int c, char **v) { return parse(c); }`, "-pie", "-Wl,--fix-cortex-a53-843419=adrp")
	r, _ := l.diffed(opts)
	if p := r.Report.Images[0].Proofs[0]; p.Relaxed == 0 || p.Different > 0 {
		t.Errorf("%+v", p)
	}

	image := l.read(l.path("program"))
	text, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	section := text.Section(".text")
	code := image[section.Offset:][:section.Size]
	moved := bytes.Index(code, []byte{0x22, 0x00, 0x40, 0xf9}) // ldr x2, [x1], in the veneer
	if moved < 0 || bytes.Count(code, code[moved:moved+4]) != 1 {
		t.Fatal("the linker has moved nothing")
	}
	code[moved]++ // ldr x3, [x1]
	opts.Images[0].Image = io.NewSectionReader(bytes.NewReader(image), 0, int64(len(image)))
	l.refused(opts, CodeImageMismatch)
}
