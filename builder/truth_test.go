// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	sectionLine = regexp.MustCompile(`^\s*\.(?:section|pushsection)\s+([^,\s]+)(?:,\s*"([^"]*)")?`)
	plainLine   = regexp.MustCompile(`^\s*\.(text|data|bss)\b`)
	labelLine   = regexp.MustCompile(`^([A-Za-z_.$][\w.$]*):`)
	localLine   = regexp.MustCompile(`^\s*\.local\s+(\S+)`)
	privateName = regexp.MustCompile(`\.L(_?_?[A-Z_a-z][\w.$]*)`)
)

// withNames makes every label of data global in an assembler text, so that
// relocations tell what they mean.
func withNames(text string) string {
	var out []string
	names := false
	for _, line := range strings.Split(text, "\n") {
		if m := sectionLine.FindStringSubmatch(line); m != nil {
			names = !strings.ContainsAny(m[2], "xMG") && (strings.HasPrefix(m[1], ".data") || strings.HasPrefix(m[1], ".bss") || strings.HasPrefix(m[1], ".rodata"))
		} else if m := plainLine.FindStringSubmatch(line); m != nil {
			names = m[1] != "text"
		}
		if m := localLine.FindStringSubmatch(line); m != nil {
			out = append(out, "\t.hidden "+m[1])
			continue
		}
		if m := labelLine.FindStringSubmatch(line); m != nil && names {
			out = append(out, "\t.globl "+m[1], "\t.hidden "+m[1])
		}
		out = append(out, line)
	}
	return privateName.ReplaceAllString(strings.Join(out, "\n"), "LQ$1")
}

// truths are the flags of a compiler under which each reference means one
// variable, so that its name tells the truth.
var truths = map[string][]string{
	"gcc": nil, "clang": nil, crossGCC: {"-fno-section-anchors"}, crossClang: {"-mno-global-merge"},
}

// verdicts counts references: sure (nothing else could be meant), meant (what the
// code does proves it), open (the truth is among what may be meant); and those of
// which the truth is not.
type verdicts struct{ sure, meant, open, wrong int }

// TestTruth holds what references of plain objects are taken to mean against the
// truth: the same assembler text with a name for each variable.
// ULPATCH_TRUTH names more sources, compiled with all flags.
func TestTruth(t *testing.T) {
	sources, some := []string{"testdata/truth/1.c", "testdata/truth/2.c"}, true
	if more := os.Getenv("ULPATCH_TRUTH"); more != "" {
		sources, some = strings.Fields(more), false
	}
	for _, cc := range slices.Sorted(maps.Keys(truths)) {
		t.Run(cc, func(t *testing.T) {
			t.Parallel()
			var sum verdicts
			for n, source := range sources {
				for k, flags := range []string{
					"-O0 -fno-pie", "-O1 -fPIC", "-O2 -fno-pie", "-O2 -fPIE", "-O3 -fno-pie", "-Os -fPIE",
					"-O0 -fPIC", "-O1 -fno-pie", "-O3 -fPIC", "-Os -fno-pie",
				} {
					if some && (n+k)%3 != 0 {
						continue
					}
					l := newCross(t, cc, slices.Concat(strings.Fields(flags), truths[cc])...)
					l.truth(source, &sum)
				}
			}
			t.Logf("%+v", sum)
			if sum.meant+sum.sure < sum.open {
				t.Error("most references are open")
			}
		})
	}
}

func (l *lab) truth(source string, sum *verdicts) {
	l.t.Helper()
	text := l.path("u.s")
	l.run(l.cc, append(l.cflags[2:], "-g0", "-w", "-S", source, "-o", text)...)
	if err := os.WriteFile(l.path("n.s"), []byte(withNames(string(l.read(text)))), 0o600); err != nil {
		l.t.Fatal(err)
	}
	how := fmt.Sprintf("%s %s %v", filepath.Base(source), l.cc, l.cflags[2:])
	object := func(name string) *object {
		l.run(l.cc, "-c", l.path(name+".s"), "-o", l.path(name+".o"))
		o, err := readObject(name+".o", l.read(l.path(name+".o")))
		if err != nil {
			l.t.Fatalf("%s: %v", how, err)
		}
		return o
	}
	o, named := object("u"), object("n")
	for _, f := range o.atoms {
		g := named.same(f)
		if f.kind == kindFDE || f.kind == kindCIE || g == nil {
			continue
		}
		for i := range f.refs {
			want := o.told(&f.refs[i], g)
			if want == nil {
				continue
			}
			if wrong := f.judge(i, want, sum); wrong != "" {
				sum.wrong++
				l.t.Errorf("%s: %s+%#x: %s, but it is %s", how, f, f.refs[i].off, wrong, want)
			}
		}
	}
}

// same is the atom that another object has at the same place.
func (o *object) same(f *atom) *atom {
	for _, s := range o.sections {
		if s == nil || s.name != f.section.name {
			continue
		}
		for _, a := range s.atoms {
			if a.off == f.off && a.size == f.size {
				return a
			}
		}
	}
	return nil
}

// told is the atom that the relocation with a name tells that g has in place of r.
func (o *object) told(r *ref, g *atom) *atom {
	if r.target == nil || r.target.kind == kindCode || r.sym == nil || !r.sym.label() || r.target.section.merged() {
		return nil
	}
	i := slices.IndexFunc(g.refs, func(x ref) bool { return x.off == r.off })
	if i < 0 || g.refs[i].sym == nil || g.refs[i].sym.label() && g.refs[i].sym.name == "" || g.refs[i].sym.typ == elf.STT_SECTION {
		return nil
	}
	sym := g.refs[i].sym
	if c := o.byName[sym.name]; len(c) == 1 {
		return c[0]
	}
	if sym.section == nil || !sym.defined() {
		return nil
	}
	for _, s := range o.sections {
		if s == nil || s.name != sym.section.name {
			continue
		}
		for _, a := range s.atoms {
			if a.off <= sym.value && (sym.value < a.off+a.size || sym.value == a.off) {
				return a
			}
		}
	}
	return nil
}

// judge says what is wrong with what the i-th reference is taken to mean.
func (a *atom) judge(i int, want *atom, sum *verdicts) string {
	r := a.refs[i]
	others := r.others(a)
	if a.kind == kindCode && r.open(a) {
		s := a.follow().spots[i]
		switch {
		case r.anchor(a) && s != nil:
			if others = r.narrow(s); len(s.referents()) == 0 {
				return "" // nothing is done with it
			}
		case !r.anchor(a) && a.meaning(i) != nil:
			if sum.meant++; a.meaning(i) != want {
				return fmt.Sprintf("means %s", a.meaning(i))
			}
			return ""
		case !r.anchor(a) && a.walks(i):
			others = r.target.section.near(int64(r.target.off)+r.landing, r.target)
		}
	}
	switch {
	case len(others) == 0 && r.target == want:
		sum.sure++
	case r.target == want || slices.Contains(others, want):
		sum.open++
	default:
		return fmt.Sprintf("%s, or of %v", r.referent(), others)
	}
	return ""
}

// TestLayouts holds what code reaches by anchors against the same code with other
// variables between those that it uses: that has to be the same. ULPATCH_TRUTH as
// in TestTruth.
func TestLayouts(t *testing.T) {
	sources := []string{"testdata/truth/1.c", "testdata/truth/2.c"}
	if more := os.Getenv("ULPATCH_TRUTH"); more != "" {
		sources = strings.Fields(more)
	}
	for _, cc := range []string{crossGCC, crossClang} {
		for _, flags := range []string{"-O1", "-O2", "-O3", "-Os"} {
			t.Run(cc+flags, func(t *testing.T) {
				t.Parallel()
				same, known := 0, 0
				for _, source := range sources {
					l := newCross(t, cc, flags, "-g0", "-w", "-fno-function-sections", "-fno-data-sections")
					text := string(l.read(source))
					a, b := l.layout("close", text), l.layout("apart", spread(text))
					for _, f := range a.atoms {
						if f.kind != kindCode || len(b.byName[f.name]) != 1 {
							continue
						}
						g := b.byName[f.name][0]
						if len(f.refs) != len(g.refs) || f.size != g.size {
							continue
						}
						for i := range f.refs {
							x, y := f.follow().spots[i], g.follow().spots[i]
							if x == nil || y == nil {
								continue
							}
							known++
							if names(x.within) != names(y.within) {
								t.Errorf("%s: %s+%#x: %s, and with variables between them %s", source, f, f.refs[i].off, names(x.within), names(y.within))
							}
							same += len(x.within)
						}
					}
				}
				t.Logf("%d references, %d variables", known, same)
				if known < 10 || same < 10 {
					t.Error("nothing was compared")
				}
			})
		}
	}
}

func (l *lab) layout(name, text string) *object {
	l.t.Helper()
	o, err := readObject(name+".o", l.read(l.compile(name, text)))
	if err != nil {
		l.t.Fatal(err)
	}
	return o
}

var declaration = regexp.MustCompile(`(?m)^static (unsigned|struct).*;$`)

// spread puts a variable behind each one that a source declares.
func spread(text string) string {
	n := 0
	return declaration.ReplaceAllStringFunc(text, func(line string) string {
		n++
		kind, value := "", ""
		if strings.Contains(line, "=") {
			value = " = { 1 }"
		}
		return fmt.Sprintf("%s\n__attribute__((used)) static %sunsigned between%d[%d]%s;", line, kind, n, 3+n%5, value)
	})
}

func names(all []*atom) string {
	var out []string
	for _, a := range all {
		out = append(out, a.String())
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
