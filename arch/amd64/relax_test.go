// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// linkers are bfd, which there has to be, and those of the others that there are.
func linkers() []string {
	all := []string{"ld.bfd"}
	for _, l := range []string{"ld.gold", "ld.lld", "mold"} {
		if _, err := exec.LookPath(l); err == nil {
			all = append(all, l)
		}
	}
	return all
}

// TestRelax links every instruction that may be rewritten, in each way that
// decides whether it is, and proves every byte of the result.
func TestRelax(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"relax", "relax_ld", "relax_large", "other"} {
		run(t, "as", "--64", "-o", in(name+".o"), filepath.Join("testdata", name+".s"))
	}
	run(t, "as", "--64", "-mrelax-relocations=no", "--defsym", "OLD=1", "-o", in("relax_old.o"), filepath.Join("testdata", "relax.s"))
	run(t, "ld", "-shared", "-o", in("libother.so"), in("other.o"))

	seen := map[string]int{}
	for _, linker := range linkers() {
		for _, object := range []string{"relax", "relax_old", "relax_ld", "relax_large"} {
			switch {
			case object == "relax_large" && linker != "ld.bfd": // the others refuse it
				continue
			case object == "relax_ld" && linker == "mold": // it has a rewrite of its own
				continue
			}
			for _, way := range []struct {
				name string
				args []string
			}{
				{"static", []string{in("other.o")}},
				{"static-pie", []string{"-pie", in("other.o")}},
				{"dynamic", []string{in("libother.so")}},
				{"pie", []string{"-pie", in("libother.so")}},
				{"shared", []string{"-shared", in("libother.so")}},
				{"prefix-nop", []string{"-z", "call-nop=prefix-0x90", in("other.o")}},
				{"suffix-nop", []string{"-z", "call-nop=suffix-nop", in("other.o")}},
				{"symbolic", []string{"-shared", "-Bsymbolic", in("other.o")}},
			} {
				if linker == "ld.gold" && object != "relax" && slices.Equal(way.args, []string{in("other.o")}) {
					continue // gold 2.40: internal error in set_offset
				}
				if linker != "ld.bfd" && strings.HasSuffix(way.name, "-nop") {
					continue
				}
				t.Run(linker+"/"+object+"/"+way.name, func(t *testing.T) {
					out := in(linker + object + way.name)
					run(t, linker, append([]string{"-e", "fixture_start", "-o", out, in(object + ".o")}, way.args...)...)
					prove(t, in(object+".o"), out, seen)
				})
			}
		}
	}
	for _, name := range rewriteNames() {
		if seen[name] == 0 {
			t.Errorf("no linker was seen to do %s", name)
		}
		t.Logf("%6d %s", seen[name], name)
		delete(seen, name)
	}
	for name := range seen {
		t.Errorf("%s is not in the list", name)
	}
}

// moldRewrites are what TestRealCode sees where there is mold.
var moldRewrites = []string{"GD -> LE, add", "GD -> LE, add, no PLT"}

func rewriteNames() []string {
	names := []string{
		"mov x@GOTPCREL(%rip),r -> lea x(%rip),r",
		"mov x@GOTPCREL(%rip),r -> mov $x,r",
		"test r,x@GOTPCREL(%rip) -> test $x,r",
		"op x@GOTPCREL(%rip),r -> op $x,r",
		"call *x@GOTPCREL(%rip) -> addr32 call x",
		"call *x@GOTPCREL(%rip) -> nop; call x",
		"call *x@GOTPCREL(%rip) -> call x; nop",
		"jmp *x@GOTPCREL(%rip) -> jmp x; nop",
		"IE -> LE: mov x@GOTTPOFF(%rip),r -> mov $x@TPOFF,r",
		"IE -> LE: add x@GOTTPOFF(%rip),r -> lea x@TPOFF(r),r",
		"IE -> LE: add x@GOTTPOFF(%rip),r -> add $x@TPOFF,r",
		"TLSDESC -> LE: lea x@TLSDESC(%rip),r -> mov $x@TPOFF,r",
		"TLSDESC -> IE: lea x@TLSDESC(%rip),r -> mov x@GOTTPOFF(%rip),r",
	}
	for _, s := range sequences {
		if !slices.Contains(names, s.name) && !slices.Contains(moldRewrites, s.name) {
			names = append(names, s.name)
		}
	}
	return names
}
