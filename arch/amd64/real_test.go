// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"debug/elf"
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
	run(t, "gcc", "-c", "-fPIC", "-O2", "-o", in("other.o"), other)
	run(t, "ld", "-shared", "-o", in("libother.so"), in("other.o"))

	seen := map[string]int{}
	for _, code := range []string{"-fno-pic", "-fPIE", "-fPIC"} {
		for _, more := range []string{
			"-O2", "-O0", "-O0 -fno-plt", "-Os -fno-plt", "-O2 -mtls-dialect=gnu2", "-O3 -mavx2 -fno-plt -fcf-protection",
			"-O2 -ftls-model=initial-exec", "-O2 -ftls-model=local-dynamic -DLOCAL_DYNAMIC", "-O1 -mno-direct-extern-access", "-O2 -mcmodel=large",
		} {
			name := strings.ReplaceAll(code+" "+more, " ", "")
			if strings.Contains(more, "large") && code == "-fPIE" {
				continue // the same as -fPIC
			}
			object := in(name + ".o")
			args := append([]string{"-c", "-fno-toplevel-reorder", "-fno-asynchronous-unwind-tables", "-o", object, "testdata/real.c", code}, strings.Fields(more)...)
			run(t, "gcc", args...)
			localDynamic := slices.ContainsFunc(relocsOf(t, openELF(t, object), ".text"), func(r reloc) bool {
				return elf.R_X86_64(r.typ) == elf.R_X86_64_TLSLD
			})
			for _, linker := range linkers() {
				switch {
				case linker == "mold" && localDynamic: // a rewrite of its own, which is not accepted
					continue
				case linker != "ld.bfd" && code == "-fPIC" && strings.Contains(more, "large"): // they refuse its TLS
					continue
				}
				for _, way := range []struct {
					name string
					pic  []string // code that can be linked so
					args []string
				}{
					{"static", []string{"-fno-pic", "-fPIE", "-fPIC"}, []string{in("other.o")}},
					{"dynamic", []string{"-fno-pic", "-fPIE", "-fPIC"}, []string{in("libother.so")}},
					{"static-pie", []string{"-fPIE", "-fPIC"}, []string{"-pie", in("other.o")}},
					{"pie", []string{"-fPIE", "-fPIC"}, []string{"-pie", in("libother.so")}},
					{"shared", []string{"-fPIC"}, []string{"-shared", in("libother.so")}},
				} {
					if !strings.Contains(strings.Join(way.pic, " "), code) {
						continue
					}
					t.Run(linker+"/"+name+"/"+way.name, func(t *testing.T) {
						out := in("out")
						run(t, linker, append([]string{"-e", "fixture_start", "-z", "noexecstack", "-o", out, object}, way.args...)...)
						prove(t, object, out, seen)
					})
				}
			}
		}
	}
	for _, name := range moldRewrites {
		if slices.Contains(linkers(), "mold") && seen[name] == 0 {
			t.Errorf("mold was not seen to do %s", name)
		}
		delete(seen, name)
	}
	for name, n := range seen {
		t.Logf("%6d %s", n, name)
		if !slices.Contains(rewriteNames(), name) {
			t.Errorf("%s is not in the list", name)
		}
	}
}
