// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"debug/elf"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/applier/internal/victim"
	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/ptrace"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/arch/amd64"
	"github.com/ulpatch/ulpatch/format"
)

// TestResolve compares what a process prints of itself with what is found from
// outside.
func TestResolve(t *testing.T) {
	for _, c := range []struct {
		name, compiler string
		flags          []string
		dynamic        bool
	}{
		{"PIE", "gcc", []string{"-pie", "-Wl,-z,lazy"}, true},
		{"bound at once", "gcc", []string{"-pie", "-Wl,-z,now"}, true},
		{"static", "gcc", []string{"-static"}, false},
		{"static-pie", "gcc", []string{"-static-pie"}, false},
		{"musl", "musl-gcc", nil, true},
		{"musl static", "musl-gcc", []string{"-static"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := victim.BuildWith(t, c.compiler, "resolve.c", c.flags...)
			link := symbols(t, path)
			p := victim.Start(t, path)
			said := map[string]uint64{}
			for _, line := range p.Lines() {
				name, value, _ := strings.Cut(line, " ")
				n, err := strconv.ParseUint(value, 16, 64)
				if err != nil {
					t.Fatal(err)
				}
				said[name] = n
			}
			maps, err := proc.ReadMaps(p.PID)
			if err != nil {
				t.Fatal(err)
			}
			mem, err := ptrace.OpenMemory(p.PID)
			if err != nil {
				t.Fatal(err)
			}
			defer mem.Close()
			modules := module.Load(maps, mem)
			program := module.Program(modules)
			r := newResolver(amd64.Arch, mem, modules, program)

			v, err := r.resolve(format.Import{Kind: format.ImportImage, Addr: format.Hex(link["variable"])})
			if err != nil || !v.HasAddr || uint64(v.Addr) != said["variable"] {
				t.Errorf("variable: %+v, %v", v, err)
			}
			for _, name := range []string{"pad", "aligned", "zero"} {
				v, err := r.resolve(format.Import{Kind: format.ImportTLS, Addr: format.Hex(link[name])})
				if err != nil || !v.HasTP || !v.HasDTP || uint64(v.TP) != said[name] || v.TLSModule != 1 {
					t.Errorf("%s: %+v, %v; want %#x", name, v, err, said[name])
				}
			}
			v, err = r.resolve(format.Import{Kind: format.ImportDynamic, Name: "weak_absent", Weak: true})
			if err != nil || !v.HasAddr || v.Addr != 0 {
				t.Errorf("weak_absent: %+v, %v", v, err)
			}
			if _, err := r.resolve(format.Import{Kind: format.ImportDynamic, Name: "weak_absent"}); !errors.Is(err, ErrRefused) {
				t.Errorf("absent: %v", err)
			}
			if _, err := r.resolve(format.Import{Kind: "other"}); err == nil {
				t.Error("an unknown kind")
			}
			if !c.dynamic {
				return
			}
			for _, name := range []string{"malloc", "memcpy"} {
				v, err := r.resolve(format.Import{Kind: format.ImportDynamic, Name: name, Func: true})
				if err != nil || !v.HasAddr || uint64(v.Addr) != said[name] {
					t.Errorf("%s: %+v, %v; want %#x", name, v, err, said[name])
				}
			}
			for _, slot := range slotsFor(t, path) {
				v, err := r.resolve(format.Import{Kind: format.ImportDynamic, Name: slot.name, Slot: format.Hex(slot.at), Func: true})
				if err != nil || !v.HasAddr && v.Slot == 0 {
					t.Errorf("%s by its slot: %+v, %v", slot.name, v, err)
				}
				if want := said[slot.name]; want != 0 && uint64(v.Addr) != want {
					t.Errorf("%s by its slot: %+v; want %#x", slot.name, v, want)
				}
				if v.HasAddr && program.Contains(v.Addr) {
					t.Errorf("%s by its slot: %#x is the program's own stub", slot.name, uint64(v.Addr))
				}
			}
			if c.compiler == "gcc" {
				v, err := r.resolve(format.Import{Kind: format.ImportDynamicTLS, Name: "errno", Version: "GLIBC_PRIVATE"})
				if err != nil || !v.HasTP || uint64(v.TP) != said["errno"] {
					t.Errorf("errno: %+v, %v; want %#x", v, err, said["errno"])
				}
			}
		})
	}
}

func symbols(t *testing.T, path string) map[string]uint64 {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]uint64{}
	for _, s := range list {
		values[s.Name] = s.Value
	}
	return values
}

type slot struct {
	name string
	at   arch.Addr
}

// slotsFor lists a program's slots as readelf shows them.
func slotsFor(t *testing.T, path string) []slot {
	t.Helper()
	var slots []slot
	for _, line := range strings.Split(victim.Run(t, "readelf", "-rW", path), "\n") {
		field := strings.Fields(line)
		if len(field) < 5 || field[2] != "R_X86_64_GLOB_DAT" && field[2] != "R_X86_64_JUMP_SLOT" {
			continue
		}
		name, _, _ := strings.Cut(field[4], "@")
		at, err := strconv.ParseUint(field[0], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		if name == "printf" || name == "malloc" || name == "memcpy" || name == "fflush" || name == "abort" {
			slots = append(slots, slot{name, arch.Addr(at)})
		}
	}
	if len(slots) < 3 {
		t.Fatalf("slots %v", slots)
	}
	return slots
}
