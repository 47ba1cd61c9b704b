// SPDX-License-Identifier: GPL-2.0-or-later

package module_test

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/applier/internal/victim"
	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/ptrace"
	"github.com/ulpatch/ulpatch/arch"
)

func load(t testing.TB, pid int) ([]*module.Module, *ptrace.Memory) {
	t.Helper()
	maps, err := proc.ReadMaps(pid)
	if err != nil {
		t.Fatal(err)
	}
	mem, err := ptrace.OpenMemory(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mem.Close() })
	return module.Load(maps, mem), mem
}

func names(list []*module.Module) []string {
	var out []string
	for _, m := range list {
		out = append(out, m.Name())
	}
	return out
}

// libraries builds libone.so, which the program is linked with, libtwo.so, which
// has the same names, and plugin.so.
func libraries(t testing.TB, flags ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, n := range []string{"one", "two"} {
		lib := "lib" + n + ".so"
		number := map[string]string{"one": "1", "two": "2"}[n]
		victim.BuildAs(t, filepath.Join(dir, lib), "gcc", "lib.c", append(flags, "-shared", "-fPIC", "-DLIB="+number,
			"-Wl,-soname,"+lib, "-Wl,--version-script=testdata/lib.map")...)
	}
	victim.BuildAs(t, filepath.Join(dir, "plugin.so"), "gcc", "plugin.c", append(flags, "-shared", "-fPIC")...)
	return dir
}

// run runs the program and returns what it printed.
func run(t testing.TB, dir string, flags, env []string, args ...string) (p *victim.Process, said map[string]string, loaded []string) {
	t.Helper()
	path := victim.BuildAs(t, filepath.Join(dir, "prog"), "gcc", "prog.c", append(flags, "-L"+dir, "-lone", "-Wl,-rpath,"+dir)...)
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	p = victim.StartCmd(t, cmd)
	said = map[string]string{}
	for _, line := range p.Lines() {
		key, value, _ := strings.Cut(line, " ")
		if key == "module" {
			loaded = append(loaded, value)
		} else {
			said[key] = value
		}
	}
	return p, said, loaded
}

func address(t testing.TB, s string) arch.Addr {
	t.Helper()
	if s == "(nil)" {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return arch.Addr(n)
}

// lookup searches a scope.
func lookup(t testing.TB, scope []*module.Module, name, version string) arch.Addr {
	t.Helper()
	for _, m := range scope {
		sym, ok, err := m.Lookup(name, version)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if ok {
			return sym.Addr()
		}
	}
	return 0
}

// TestLookup compares with what the process's own dynamic linker says.
func TestLookup(t *testing.T) {
	for _, c := range []struct {
		name       string
		flags, env []string
	}{
		{"usual", nil, nil},
		{"fixed address", []string{"-no-pie"}, nil},
		{"System V hash", []string{"-Wl,--hash-style=sysv"}, nil},
		{"both hashes and lazy", []string{"-Wl,--hash-style=both", "-Wl,-z,lazy"}, nil},
		{"preload", nil, []string{"LD_PRELOAD=libtwo.so"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := libraries(t, slices.DeleteFunc(slices.Clone(c.flags), func(s string) bool { return s == "-no-pie" })...)
			p, said, loaded := run(t, dir, c.flags, append(c.env, "LD_LIBRARY_PATH="+dir), filepath.Join(dir, "plugin.so"), "libone.so")
			list, _ := load(t, p.PID)

			// Modules, and where they are.
			for _, line := range loaded {
				bias, path, _ := strings.Cut(line, " ")
				if path == "" {
					path = filepath.Join(dir, "prog")
				} else if path == "linux-vdso.so.1" {
					path = "[vdso]"
				}
				if real, err := filepath.EvalSymlinks(path); err == nil {
					path = real
				}
				at := address(t, bias)
				if !slices.ContainsFunc(list, func(m *module.Module) bool { return m.Path == path && m.Bias == at }) {
					t.Errorf("%s at %s was not found in %v", path, bias, names(list))
				}
			}
			if data := address(t, said["data"]); module.Find(list, data) != nil && module.Find(list, data).Start == data {
				t.Error("what is mapped as data was taken for a module")
			}
			program := module.Program(list)
			if program == nil || program.Name() != "prog" {
				t.Fatalf("program is %v of %v", program, names(list))
			}

			scope := module.Scope(list, program)
			for key, want := range said {
				name, version, _ := strings.Cut(key, "@")
				if strings.ContainsAny(name, "0123456789") || name == "called" || name == "data" || name == "plugin" {
					continue
				}
				if got := lookup(t, scope, name, version); got != address(t, want) {
					t.Errorf("%s: %#x, its dynamic linker says %s", key, uint64(got), want)
				}
			}
			if slices.Contains(names(scope), "plugin.so") {
				t.Errorf("scope of the program: %v", names(scope))
			}
			plugin := module.Find(list, address(t, said["plugin"]))
			of := module.Scope(list, plugin)
			if plugin.Name() != "plugin.so" || of[len(of)-1] != plugin || of[0] != program {
				t.Errorf("scope of the plugin: %v", names(of))
			}
			for i := range 2 { // in namespaces of their own
				copied := module.Find(list, address(t, said[fmt.Sprint("copy", i)]))
				scope := module.Scope(list, copied)
				if slices.Contains(scope, program) {
					t.Errorf("scope of copy %d: %v", i, names(scope))
				}
				for _, name := range []string{"copy", "malloc"} {
					want := address(t, said[fmt.Sprint(name, i)])
					if got := lookup(t, scope, strings.Replace(name, "copy", "shared_name", 1), ""); got != want {
						t.Errorf("copy %d: %s is %#x, its dynamic linker says %#x", i, name, uint64(got), uint64(want))
					}
				}
			}
			if lookup(t, scope, "f", "V3") != 0 {
				t.Error("a version that is not there was found")
			}
		})
	}
}

func buildID(t testing.TB, path string) string {
	t.Helper()
	for _, line := range strings.Split(victim.Run(t, "readelf", "-n", path), "\n") {
		if _, id, ok := strings.Cut(line, "Build ID: "); ok {
			return strings.TrimSpace(id)
		}
	}
	t.Fatal("no build-id")
	return ""
}

// TestPrograms: each kind of program is found, known by its build-id, and told
// from its libraries.
func TestPrograms(t *testing.T) {
	for _, c := range []struct {
		name, compiler string
		flags          []string
		typ            elf.Type
		modules        int // with the vDSO
	}{
		{"PIE", "gcc", []string{"-pie"}, elf.ET_DYN, 4},
		{"fixed", "gcc", []string{"-no-pie"}, elf.ET_EXEC, 4},
		{"static", "gcc", []string{"-static"}, elf.ET_EXEC, 2},
		{"static-pie", "gcc", []string{"-static-pie"}, elf.ET_DYN, 2},
		{"musl", "musl-gcc", []string{"-Wl,--build-id"}, elf.ET_DYN, 3},
		{"musl static", "musl-gcc", []string{"-static", "-Wl,--build-id"}, elf.ET_EXEC, 2},
		{"one segment for all", "gcc", []string{"-Wl,-z,noseparate-code", "-no-pie"}, elf.ET_EXEC, 4},
		{"stripped, relro", "gcc", []string{"-s", "-Wl,-z,relro,-z,now"}, elf.ET_DYN, 4},
		{"gold", "gcc", []string{"-fuse-ld=gold"}, elf.ET_DYN, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := victim.BuildWith(t, c.compiler, "hello.c", c.flags...)
			want := buildID(t, path)
			p := victim.Start(t, path)
			main := address(t, p.Lines()[0])
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			list, _ := load(t, p.PID)
			if len(list) != c.modules {
				t.Errorf("modules %v", names(list))
			}
			m := module.Program(list)
			if m == nil || m != module.Find(list, main) || m.Name() != "hello" || m.BuildID != want || m.Type != c.typ {
				t.Fatalf("program %+v", m)
			}
			if !m.IsCode(main) || m.IsCode(m.Start-1) || m.IsCode(m.End) || !m.Contains(main) {
				t.Error("main is no code, or something else is")
			}
			phdr, ok := proc.ProgramHeaders(p.PID)
			if !ok {
				t.Fatal("no AT_PHDR")
			}
			module.MarkProgram(list, arch.Addr(phdr))
			if module.Program(list) != m || !m.Main {
				t.Error("AT_PHDR is of another module")
			}
			scope := module.Scope(list, m)
			if scope[0] != m {
				t.Errorf("scope %v", names(scope))
			}
			if _, err := m.Slots(uint32(elf.R_X86_64_JMP_SLOT)); err != nil && c.typ == elf.ET_DYN {
				t.Error(err)
			}
		})
	}
}

// TestInterpreter: a dynamic linker that was run as a command is not the program.
func TestInterpreter(t *testing.T) {
	path := victim.Build(t, "hello.c")
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	interp, err := f.Section(".interp").Data()
	if err != nil {
		t.Fatal(err)
	}
	p := victim.Start(t, strings.TrimRight(string(interp), "\x00"), path)
	main := address(t, p.Lines()[0])
	list, _ := load(t, p.PID)
	if phdr, ok := proc.ProgramHeaders(p.PID); ok {
		module.MarkProgram(list, arch.Addr(phdr))
	}
	if m := module.Program(list); m == nil || m != module.Find(list, main) {
		t.Errorf("program %+v of %v", m, names(list))
	}
}

// TestSlots finds the words that the dynamic linker has filled.
func TestSlots(t *testing.T) {
	dir := libraries(t)
	p, said, _ := run(t, dir, []string{"-Wl,-z,now"}, nil)
	list, mem := load(t, p.PID)
	word := func(at arch.Addr) uint64 {
		var buf [8]byte
		if err := mem.Read(at, buf[:]); err != nil {
			t.Fatal(err)
		}
		return binary.LittleEndian.Uint64(buf[:])
	}
	jumps, err := module.Program(list).Slots(uint32(elf.R_X86_64_JMP_SLOT), uint32(elf.R_X86_64_GLOB_DAT))
	if err != nil {
		t.Fatal(err)
	}
	bound := false
	for _, s := range jumps {
		bound = bound || arch.Addr(word(s.Addr)) == address(t, said["f"])
	}
	if len(jumps) < 5 || !bound {
		t.Errorf("%d slots, none of them holds f", len(jumps))
	}

	lib := list[slices.IndexFunc(list, func(m *module.Module) bool { return m.Name() == "libone.so" })]
	modules, err := lib.Slots(uint32(elf.R_X86_64_DTPMOD64))
	if err != nil || len(modules) != 2 {
		t.Fatalf("%v, %v", modules, err)
	}
	own := 0
	for _, s := range modules {
		if id := word(s.Addr); id < 2 || id > 8 {
			t.Errorf("module id %d", id)
		}
		if _, preempt, ok, err := lib.SlotTLS(s); err != nil {
			t.Error(err)
		} else if ok && preempt == "" {
			own++
		} else if preempt != "exported_tls" {
			t.Errorf("%v, %q may be another's", ok, preempt)
		}
	}
	if own != 1 {
		t.Errorf("%d slots are for its own variables only", own)
	}
	if sym, ok, err := lib.Lookup("exported_tls", ""); !ok || err != nil || sym.Type != elf.STT_TLS || sym.Size != 4 {
		t.Errorf("%+v, %v", sym, err)
	}
	libc := list[slices.IndexFunc(list, func(m *module.Module) bool { return m.Name() == "libc.so.6" })]
	if sym, ok, err := libc.Lookup("memcpy", ""); !ok || err != nil || !sym.IsIfunc() {
		t.Errorf("%+v, %v", sym, err)
	}
}

func BenchmarkLookup(b *testing.B) {
	p := victim.Start(b, victim.Build(b, "hello.c"))
	p.Lines()
	list, _ := load(b, p.PID)
	scope := module.Scope(list, module.Program(list))
	b.ReportAllocs()
	for b.Loop() {
		if lookup(b, scope, "printf", "GLIBC_2.2.5") == 0 {
			b.Fatal("not found")
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	p := victim.Start(b, victim.Build(b, "hello.c"))
	p.Lines()
	for b.Loop() {
		maps, err := proc.ReadMaps(p.PID)
		if err != nil {
			b.Fatal(err)
		}
		mem, err := ptrace.OpenMemory(p.PID)
		if err != nil {
			b.Fatal(err)
		}
		module.Load(maps, mem)
		mem.Close()
	}
}
