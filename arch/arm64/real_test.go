// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRealCode proves what gcc compiled in every way that changes how it reaches
// a symbol, as every linker at hand linked it.
func TestRealCode(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	other := in("other.c")
	if err := os.WriteFile(other, []byte(`
		int elsewhere(int a) { return a; }
		void *__tls_get_addr(void *p) { return p; }
		int data_other = 1;
		__thread int tls_other = 2;
	`), 0o666); err != nil {
		t.Fatal(err)
	}
	run(t, tool("gcc"), "-c", "-fPIC", "-O2", "-o", in("other.o"), other)
	run(t, tool("ld"), "-shared", "-o", in("libother.so"), in("other.o"))

	seen := map[string]int{}
	for _, code := range []string{"-fno-pic", "-fPIE", "-fpic", "-fPIC"} {
		for _, more := range []string{
			"-O2", "-O0", "-Os", "-O3 -mbranch-protection=standard", "-O2 -mtls-dialect=trad", "-O2 -ftls-model=initial-exec",
			"-O2 -ftls-model=local-dynamic -mtls-dialect=trad -DLOCAL_DYNAMIC", "-O1 -mno-pc-relative-literal-loads -fno-plt",
			"-O2 -mcmodel=large", "-O2 -mcmodel=tiny",
		} {
			if code != "-fno-pic" && strings.Contains(more, "large") {
				continue // gcc refuses it
			}
			name := strings.ReplaceAll(code+" "+more, " ", "")
			object := in(name + ".o")
			args := append([]string{"-c", "-fno-toplevel-reorder", "-fno-asynchronous-unwind-tables", "-o", object, "testdata/real.c", code}, strings.Fields(more)...)
			run(t, tool("gcc"), args...)
			for _, l := range linkers() {
				if !l.bfd() && (strings.Contains(more, "trad") || strings.Contains(more, "tiny")) {
					continue // they know some of it or none
				}
				for _, way := range []struct {
					name string
					pic  []string // code that can be linked so
					args []string
				}{
					{"static", []string{"-fno-pic", "-fPIE", "-fpic", "-fPIC"}, []string{in("other.o")}},
					{"dynamic", []string{"-fno-pic", "-fPIE", "-fpic", "-fPIC"}, []string{in("libother.so")}},
					{"static-pie", []string{"-fPIE", "-fpic", "-fPIC"}, []string{"-pie", in("other.o")}},
					{"pie", []string{"-fPIE", "-fpic", "-fPIC"}, []string{"-pie", in("libother.so")}},
					{"shared", []string{"-fpic", "-fPIC"}, []string{"-shared", in("libother.so")}},
				} {
					if !slices.Contains(way.pic, code) {
						continue
					}
					t.Run(l.name+"/"+name+"/"+way.name, func(t *testing.T) {
						out := in("out")
						l.run(t, append([]string{"-e", "fixture_start", "-z", "noexecstack", "-o", out, object}, way.args...)...)
						prove(t, object, out, seen)
					})
				}
			}
		}
	}
	for name, n := range seen {
		t.Logf("%6d %s", n, name)
		if !slices.Contains(rewriteNames, name) {
			t.Errorf("%s is not in the list", name)
		}
	}
}
