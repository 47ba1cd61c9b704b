// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"slices"
	"testing"
)

// TestCoupledCallers: a caller that was compiled against what its callee leaves
// alone, or takes, changes with it wherever that matters, and is then redirected
// in the same commit. Where its code is equal it may call either.
func TestCoupledCallers(t *testing.T) {
	tests := []struct {
		name, text string
		changed    []string // at least these
	}{
		// quiet leaves %rdi alone, so caller keeps a value there; once it calls
		// something, caller has to save it.
		{"ipa-ra", `
int shown;
__attribute__((noinline)) void show(int a) { shown += a; __asm__ volatile("" ::: "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11"); }
__attribute__((noinline)) static int quiet(int a) {
#ifdef FIXED
	show(a);
#endif
	return a % 3; }
__attribute__((noinline)) int caller(int a, int b) { return quiet(b) + a * b; }
int main(int c, char **v) { return caller(c, c + 1); }`, []string{"caller", "quiet"}},
		// An argument that is not used is not passed.
		{"ipa-sra", `
__attribute__((noinline)) static int scale(int a, int b) {
#ifdef FIXED
	a += b;
#endif
	return a % 7; }
__attribute__((noinline)) int caller(int a, int b) { return scale(a * 3, b * b) + scale(b, a); }
int main(int c, char **v) { return caller(c, c + 1); }`, []string{"caller"}},
		// An argument that is always the same is not passed.
		{"constprop", `
__attribute__((noinline)) static int scale(int a, int b) { return a % b + ADD; }
__attribute__((noinline)) int caller(int a) { return scale(a, 7) +
#ifdef FIXED
	scale(a + 1, a | 1);
#else
	scale(a + 1, 7);
#endif
	}
int main(int c, char **v) { return caller(c); }`, []string{"caller"}},
		// A callee without effects is called once for two.
		{"pure", `
int shown;
__attribute__((noinline)) static int look(int a) {
#ifdef FIXED
	shown++;
#endif
	return a % 11; }
__attribute__((noinline)) int caller(int a) { int x = look(a); shown += 3; return x + look(a); }
int main(int c, char **v) { return caller(c) + shown; }`, []string{"caller", "look"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, flags := range [][]string{{"-O2", "-fipa-ra"}, {"-O2", "-fipa-ra", "-fno-function-sections", "-fno-data-sections"}} {
				l := newLab(t, flags...)
				_, files := l.diffed(l.twice(addsOne + test.text))
				got := functionNames(files[0])
				for _, want := range test.changed {
					if !slices.Contains(got, want) {
						t.Errorf("%v: %s is not redirected: %v", flags, want, got)
					}
				}
				if len(files[0].Table.Quiet) > 0 {
					t.Errorf("quiet: %v", files[0].Table.Quiet)
				}
			}
		})
	}
}
