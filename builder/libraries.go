// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ulpatch/ulpatch/format/elffile"
)

// A name that the image does not import yet has to be in a library that every
// process of the image has loaded: one that it needs, or that one of these needs.
// They are looked for as the dynamic linker would, in a tree that is like the
// system that the image runs on.

// LibraryPath tells where the libraries are that images need.
type LibraryPath struct {
	Sysroot string   // root of the system that the images run on, "/" for this one; "" for none
	Dirs    []string // looked in first
}

func (l LibraryPath) given() bool { return l.Sysroot != "" || len(l.Dirs) > 0 }

// triplets name the directories of libraries of one CPU, as Debian's do.
var triplets = map[elf.Machine]string{
	elf.EM_X86_64: "x86_64-linux-gnu", elf.EM_AARCH64: "aarch64-linux-gnu",
	elf.EM_RISCV: "riscv64-linux-gnu", elf.EM_LOONGARCH: "loongarch64-linux-gnu",
}

// libraries are those that an image needs.
type libraries struct {
	exports map[string]string // the library, by the names that it defines for others
	missing []string          // that were not found
}

// loadLibraries reads what the image needs, directly or not.
func loadLibraries(m *image, where LibraryPath) *libraries {
	l := &libraries{exports: map[string]string{}}
	standard := slices.Clone(where.Dirs)
	if where.Sysroot != "" {
		triplet := triplets[m.arch.Machine]
		for _, dir := range []string{"lib/" + triplet, "usr/lib/" + triplet, "lib64", "usr/lib64", "lib", "usr/lib", "usr/local/lib", "usr/local/lib/" + triplet} {
			standard = append(standard, filepath.Join(where.Sysroot, dir))
		}
	}
	type wanted struct {
		name string
		dirs []string
	}
	var queue []wanted
	enqueue := func(needed, runpath []string, path string) {
		dirs := slices.Clone(where.Dirs)
		for _, d := range runpath {
			if origin, ok := strings.CutPrefix(strings.NewReplacer("${ORIGIN}", "$ORIGIN").Replace(d), "$ORIGIN"); ok {
				dirs = append(dirs, filepath.Join(filepath.Dir(path), origin))
			} else if filepath.IsAbs(d) {
				dirs = append(dirs, filepath.Join(where.Sysroot, d))
			}
		}
		for _, name := range needed {
			queue = append(queue, wanted{name, append(dirs, standard...)})
		}
	}
	enqueue(m.dyn.needed, m.dyn.runpath, m.path)
	seen := map[string]bool{}
	for ; len(queue) > 0; queue = queue[1:] {
		w := queue[0]
		if seen[w.name] {
			continue
		}
		seen[w.name] = true
		path, needed, runpath := l.find(m, w.name, w.dirs)
		if path == "" {
			l.missing = append(l.missing, w.name)
		}
		enqueue(needed, runpath, path)
	}
	return l
}

// find reads the first library of that name and of the image's CPU.
func (l *libraries) find(m *image, name string, dirs []string) (path string, needed, runpath []string) {
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if filepath.IsAbs(name) {
			path = name
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		f, err := elffile.Open(path)
		if err != nil {
			continue
		}
		needed, runpath, err := l.read(f, m, name)
		f.Close()
		if err == nil {
			return path, needed, runpath
		}
	}
	return "", nil, nil
}

func (l *libraries) read(f *elffile.File, m *image, name string) (needed, runpath []string, err error) {
	if f.Machine != m.arch.Machine || f.Type != elf.ET_DYN {
		return nil, nil, fmt.Errorf("%s: for another CPU", name)
	}
	syms, err := f.DynamicSymbols()
	if err != nil {
		return nil, nil, err
	}
	for _, s := range syms {
		if s.Section == elf.SHN_UNDEF || elf.ST_BIND(s.Info) == elf.STB_LOCAL || s.HasVersion && s.VersionIndex.IsHidden() {
			continue
		}
		if v := elf.ST_VISIBILITY(s.Other); v != elf.STV_DEFAULT && v != elf.STV_PROTECTED {
			continue
		}
		if l.exports[s.Name] == "" {
			l.exports[s.Name] = name
		}
	}
	return dependencies(f)
}

// dependencies are the libraries that a file needs and the directories that it
// wants them looked for in.
func dependencies(f *elffile.File) (needed, runpath []string, err error) {
	if needed, err = f.DynString(elf.DT_NEEDED); err != nil {
		return nil, nil, err
	}
	paths, err := f.DynString(elf.DT_RUNPATH)
	if err == nil && len(paths) == 0 {
		paths, err = f.DynString(elf.DT_RPATH)
	}
	for _, p := range paths {
		runpath = append(runpath, strings.Split(p, ":")...)
	}
	return needed, runpath, err
}

// judgeImport finds out who defines a name that the image does not import yet. It
// is refused where nobody does.
func (p *patch) judgeImport(from *atom, imp *imported) {
	if imp.how != newImport || imp.Weak || imp.from != "" || !p.libraryPath.given() {
		return
	}
	if p.image.libraries == nil {
		p.image.libraries = loadLibraries(p.image, p.libraryPath)
	}
	l := p.image.libraries
	if imp.from = l.exports[imp.Name]; imp.from != "" {
		return
	}
	switch {
	case len(l.missing) > 0:
		p.warn("%s: new import %s: nothing that was found defines it, and %s was not found", p.image.name, imp.Name, strings.Join(l.missing, ", "))
	case p.image.shared():
		p.warn("%s: new import %s: no library defines it, so the program that loads the image has to", p.image.name, imp.Name)
	default:
		p.refuse(CodeUndefined, from.place(), imp.Name, "bring its definition along in the fixed objects; or give the root of the system that the image runs on (--sysroot), if its libraries are others",
			"refers to %s, which neither the image nor a library that it needs defines", imp.Name)
	}
}

func (p *patch) warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(p.warnings, text) {
		p.warnings = append(p.warnings, text)
	}
}
