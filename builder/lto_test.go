// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const ltoText = addsOne + `
int level = 3; // which only the whole program shows to be a constant
__attribute__((noinline)) int parse(int a) { for (int i = 0; i < a; i++) a ^= i * a; return a % 37 * level + ADD; }
int other(int a) { return a * 5 + parse(a); }
int main(int c, char **v) { return other(c); }
`

// TestLTO: an object for link-time optimisation is refused with its own code, and
// the objects that the optimiser made are taken in its place.
func TestLTO(t *testing.T) {
	for name, flags := range map[string][]string{"slim": {"-flto"}, "fat": {"-flto", "-ffat-lto-objects"}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.cflags = append([]string{"-O2", "-fPIE"}, flags...)
			opts := l.twice(ltoText, append(flags, "-O2", "-pie", "-fno-ipa-cp")...)
			if all := l.refused(opts, CodeLTO); !strings.Contains(all[0].Advice, "ltrans") {
				t.Errorf("advice %q", all[0].Advice)
			}
			if name == "slim" {
				_, err := Check(opts.Images, l.path("orig.o"))
				var all Refusals
				if !errors.As(err, &all) || all[0].Code != CodeLTO {
					t.Errorf("check: %v", err)
				}
			}
		})
	}
	// A fat object of an image that was linked without the optimiser.
	l := newLab(t)
	l.cflags = []string{"-O2", "-fPIE", "-flto", "-ffat-lto-objects"}
	l.diffed(l.twice(ltoText, "-fno-lto", "-pie"))
	// What the optimiser made.
	l = newLab(t)
	l.cflags = []string{"-O2", "-fPIE", "-flto"}
	orig, fixed := l.compile("orig", ltoText), l.compile("fixed", ltoText, "-DFIXED")
	made := func(object, out string) string {
		t.Helper()
		cmd := exec.Command("gcc", "-Wl,--build-id", "-o", out, object, "-O2", "-flto", "-pie", "-save-temps", "-flto-partition=one")
		cmd.Dir = l.dir
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		found, err := filepath.Glob(l.path(out) + "*ltrans0.ltrans.o")
		if err != nil || len(found) != 1 {
			t.Fatalf("%v, %v", found, err)
		}
		return found[0]
	}
	before, after := made(orig, "program"), made(fixed, "repaired")
	_, files := l.diffed(Options{ID: "test", Images: []ImageFile{l.image(l.path("program"))}, Pairs: []ObjectPair{l.pair("program.o", before, after)}})
	if got := functionNames(files[0]); !slices.Contains(got, "parse") {
		t.Errorf("changed %v", got)
	}
	// clang's.
	l = newLab(t)
	l.cc = "clang"
	l.cflags = []string{"-O2", "-fPIE", "-flto"}
	bitcode := l.compile("orig", ltoText)
	l.refused(Options{ID: "test", Images: []ImageFile{l.image(l.link("program", "-fuse-ld=lld", "-flto", bitcode))},
		Pairs: []ObjectPair{l.pair("unit.o", bitcode, l.compile("fixed", ltoText, "-DFIXED"))}}, CodeLTO)
	// What only begins like it.
	if err := os.WriteFile(l.path("short.o"), []byte("BC"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readObject("short.o", l.read(l.path("short.o"))); err == nil || strings.Contains(err.Error(), "link-time") {
		t.Errorf("%v", err)
	}
}

// TestIdenticalCodeFolding: of two functions that lld gave one address neither can
// be replaced alone.
func TestIdenticalCodeFolding(t *testing.T) {
	text := addsOne + `
int twin(int a) { a *= 3; for (int i = 0; i < a; i++) a ^= i; return a % 37; }
int parse(int a) { a *= 3; for (int i = 0; i < a; i++) a ^= i; return a % 37 + ADD; }
int main(int c, char **v) { return twin(c) + parse(c); }
`
	for _, cc := range []string{"gcc", "clang"} {
		l := newLab(t, "-O2", "-fPIE", "-fno-inline", "-fno-ipa-icf")
		l.cc = cc
		if cc == "clang" {
			l.cflags = slices.DeleteFunc(l.cflags, func(f string) bool { return f == "-fno-ipa-icf" })
		}
		if all := l.refused(l.twice(text, "-pie", "-fuse-ld=lld", "-Wl,--icf=all"), CodeFolded); !strings.Contains(all.Error(), "twin") || !strings.Contains(all[0].Advice, "--icf=none") {
			t.Errorf("%s: %v", cc, all)
		}
		l.diffed(l.twice(text, "-pie", "-fuse-ld=lld", "-Wl,--icf=none"))
	}
}
