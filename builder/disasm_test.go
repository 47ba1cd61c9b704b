// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"slices"
	"strings"
	"testing"
)

// TestSideBySide: the first instruction that differs is shown before and after,
// with what it refers to.
func TestSideBySide(t *testing.T) {
	tests := []struct{ name, text, old, new string }{
		{"an operand", `int parse(int a) { return a * 3 + 5 + 4 * ADD; }`, "lea 0x5(%rdi,%rdi,2),%eax", "lea 0x9(%rdi,%rdi,2),%eax"},
		{"a call", `
int one(int), two(int);
int parse(int a) {
#ifdef FIXED
	return two(a) * 3;
#else
	return one(a) * 3;
#endif
}`, "# one", "# two"},
		{"a string", `
void say(const char *);
void parse(int a) {
#ifdef FIXED
	say("after");
#else
	say("before");
#endif
	}`, `# "before"`, `# "after"`},
		{"what the disassembler does not know", `
void parse(int a) {
#ifdef FIXED
	__asm__("pfadd %mm1, %mm2");
#else
	__asm__("pfadd %mm1, %mm3");
#endif
	}`, "bytes 0f 0f", "bytes 0f 0f"},
		{"longer", `
int parse(int a) {
#ifdef FIXED
	__asm__ volatile("nop");
#endif
	return a; }`, "retq", "nop"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, "-O2", "-fPIE", "-fno-inline", "-fcf-protection=none")
			other := l.compile("other", "int one(int a) { return a; } int two(int a) { return a; } void say(const char *s) { (void)s; }")
			r, err := Diff(l.twice(addsOne+test.text+"\nint main(int c, char **v) { parse(c); return c; }", other))
			if r == nil {
				t.Fatal(err)
			}
			c := slices.DeleteFunc(r.Report.Units[0].Changed, func(c Change) bool { return c.Name != "parse" })
			if len(c) != 1 || !strings.Contains(c[0].Old, test.old) || !strings.Contains(c[0].New, test.new) || c[0].Old == c[0].New {
				t.Errorf("%+v", c)
			}
			for _, f := range r.Report.Images[0].Functions {
				if f.Name == "parse" && (f.Old != c[0].Old || f.New != c[0].New) {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}
