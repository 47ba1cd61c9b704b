// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// linker is a program and what it has to be told.
type linker struct {
	name string
	args []string
}

// linkers are bfd, which there has to be, and those of the others that there are.
func linkers() []linker {
	all := []linker{{tool("ld.bfd"), nil}}
	for _, name := range []string{"ld.lld", "mold"} {
		if _, err := exec.LookPath(name); err == nil {
			all = append(all, linker{name, []string{"-m", "aarch64linux"}})
		}
	}
	return all
}

func (l linker) bfd() bool { return l.args == nil }

func (l linker) run(t *testing.T, args ...string) {
	t.Helper()
	run(t, l.name, append(slices.Clone(l.args), args...)...)
}

// assembleRelax makes the objects of TestRelax in dir.
func assembleRelax(t *testing.T, in func(string) string) {
	t.Helper()
	for name, more := range map[string][]string{
		"relax": nil, "relax_tiny": nil, "erratum": nil, "other": nil,
		"relax_trad": {"--defsym", "ALIGN=16"},
	} {
		run(t, tool("as"), append(more, "-o", in(name+".o"), filepath.Join("testdata", name+".s"))...)
	}
	run(t, tool("as"), "--defsym", "ODD=1", "-o", in("relax_odd.o"), filepath.Join("testdata", "relax.s"))
	run(t, tool("as"), "--defsym", "ALIGN=16", "--defsym", "LOCAL_DYNAMIC=1", "-o", in("relax_ld.o"), filepath.Join("testdata", "relax_trad.s"))
	run(t, tool("ld"), "-shared", "-o", in("libother.so"), in("other.o"))
}

// TestRelax links every instruction that may be rewritten, in each way that
// decides whether it is, and proves every byte of the result.
func TestRelax(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	assembleRelax(t, in)
	// Relaxed and near, or too far for adr.
	const far = 0x20000000
	ways := []struct {
		name string
		args []string
	}{
		{"static", []string{in("other.o")}},
		{"static-pie", []string{"-pie", in("other.o")}},
		{"dynamic", []string{in("libother.so")}},
		{"pie", []string{"-pie", in("libother.so")}},
		{"shared", []string{"-shared", in("libother.so")}},
		{"symbolic", []string{"-shared", "-Bsymbolic", in("other.o")}},
		{"no-relax", []string{"--no-relax", in("other.o")}},
	}
	seen := map[string]int{}
	for _, l := range linkers() {
		for _, object := range []string{"relax", "relax_odd", "relax_trad", "relax_ld", "relax_tiny"} {
			switch {
			case l.name == "ld.lld" && object != "relax" && object != "relax_odd", l.name == "mold" && (object == "relax_tiny" || object == "relax_ld"):
				continue // they refuse it
			}
			for _, way := range ways {
				t.Run(l.name+"/"+object+"/"+way.name, func(t *testing.T) {
					out := in("out")
					l.run(t, append([]string{"-e", "fixture_start", "-o", out, in(object + ".o")}, way.args...)...)
					prove(t, in(object+".o"), out, seen)
				})
			}
		}
		if l.name == "mold" {
			continue // it has no way round the erratum
		}
		for name, args := range map[string][]string{
			"near": {"--section-start=.text=0x10000000"},
			"far":  append([]string{"--section-start=.text=0x10000000"}, sectionStarts(map[string]uint64{".data": far, ".got": far + 0x10000})...),
		} {
			if name == "far" && !l.bfd() {
				continue // always with veneers
			}
			t.Run(l.name+"/erratum/"+name, func(t *testing.T) {
				out := in("out")
				l.run(t, append(args, "--fix-cortex-a53-843419", "-e", "fixture_start", "-o", out, in("erratum.o"), in("libother.so"))...)
				prove(t, in("erratum.o"), out, seen)
			})
		}
	}
	for _, name := range rewriteNames {
		if seen[name] == 0 && (len(linkers()) == 3 || !slices.Contains(otherRewrites, name)) {
			t.Errorf("no linker was seen to do %s", name)
		}
		t.Logf("%6d %s", seen[name], name)
		delete(seen, name)
	}
	for name := range seen {
		t.Errorf("%s is not in the list", name)
	}
}

var rewriteNames = []string{
	"branch to an absent symbol -> nop",
	"adrp x; add x -> nop; adr x",
	"adrp x@GOT; ldr x@GOT -> adrp x; add x",
	"adrp x@GOT; ldr x@GOT -> nop; adr x",
	"erratum 843419: adrp x -> adr x",
	"erratum 843419: load or store -> b to a veneer",
	"IE -> LE: adrp x -> movz x",
	"IE -> LE: ldr x -> movk x",
	"TLSDESC -> LE: adrp -> movz",
	"TLSDESC -> LE: ldr -> movk",
	"TLSDESC -> LE: ldr x1, literal -> movz",
	"TLSDESC -> LE: adr -> movk",
	"TLSDESC -> LE or IE: add -> nop",
	"TLSDESC -> LE or IE: blr -> nop",
	"TLSDESC -> LE or IE: adr -> nop",
	"TLSDESC -> IE: adrp",
	"TLSDESC -> IE: ldr x1 -> ldr x0",
	"TLSDESC -> IE: ldr x1 -> ldr x0, literal",
	"GD -> LE: adrp -> movz",
	"GD -> LE: add; bl; nop -> movk; mrs; add",
	"GD -> IE: adrp",
	"GD -> IE: add; bl; nop -> ldr; mrs; add",
	"LD -> LE: adrp; add; bl -> mrs; add; nop",
}

// otherRewrites are those of lld and mold, which there need not be.
var otherRewrites = []string{
	"adrp x; add x -> nop; adr x",
	"adrp x@GOT; ldr x@GOT -> adrp x; add x",
	"adrp x@GOT; ldr x@GOT -> nop; adr x",
}
