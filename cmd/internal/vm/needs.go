// SPDX-License-Identifier: GPL-2.0-or-later

package vm

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const (
	glibc    = "libc.so.6"
	unwinder = "libgcc_s.so.1"
)

// needs puts in what a dynamic ELF file needs to run. Libraries go to /lib, where
// the interpreters of Debian search; those that are found beside the file by a run
// path of $ORIGIN are the caller's business.
func (a *Archive) needs(data []byte) error {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil || f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return nil // not a program, then
	}
	var interpreter string
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		text, err := io.ReadAll(p.Open())
		if err != nil {
			return fmt.Errorf("interpreter: %w", err)
		}
		interpreter = strings.TrimRight(string(text), "\x00")
		if err := a.library(path.Base(interpreter), interpreter); err != nil {
			return err
		}
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return nil // no dynamic section
	}
	origins, _ := f.DynString(elf.DT_RUNPATH)
	old, _ := f.DynString(elf.DT_RPATH)
	for _, name := range needed {
		// musl's interpreter is its C library, too.
		if strings.HasPrefix(path.Base(interpreter), "ld-musl-") && name == "libc.so" {
			continue
		}
		err := a.library(name, "/lib/"+name)
		if err == nil && name == glibc {
			// glibc opens it when a thread is ended by another, or by pthread_exit.
			err = a.library(unwinder, "/lib/"+unwinder)
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		}
		if errors.Is(err, fs.ErrNotExist) && slices.Contains(append(origins, old...), "$ORIGIN") {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// library puts a library of the cross compiler's in at a name.
func (a *Archive) library(name, to string) error {
	if a.seen[path.Clean(to)] {
		return nil
	}
	for _, folder := range a.Libraries {
		source, err := filepath.EvalSymlinks(filepath.Join(folder, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if info, err := os.Stat(source); err != nil || !info.Mode().IsRegular() {
			return fmt.Errorf("%s: not a file", source)
		}
		return a.File(source, to)
	}
	return fmt.Errorf("%s: %w in %s", name, fs.ErrNotExist, strings.Join(a.Libraries, ", "))
}
