// SPDX-License-Identifier: GPL-2.0-or-later

// Package ulpatch_test holds the layout of the module: who may import whom, and
// what every source file has to have.
package ulpatch_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/ulpatch/ulpatch/"

// layers says which folders of the module the files of a folder may import;
// the longest name that fits rules. Imports point one way, so that the risky
// half of each program stays pure and builder and applier never meet, except in
// the developers' programs and the tests of cmd.
var layers = map[string][]string{
	"arch":              {"arch"},
	"specs":             {"specs"},
	"format":            {"arch", "format", "specs/vectors"},
	"builder":           {"arch", "format", "builder"},
	"applier":           {"arch", "format", "applier"},
	"cmd/internal/ui":   {"arch", "format", "cmd/internal/ui"},
	"cmd/ulpatch-build": {"arch", "format", "builder", "cmd/internal/ui"},
	"cmd/ulpatch-apply": {"arch", "format", "applier", "cmd/internal/ui"},
	"cmd":               {"arch", "format", "builder", "applier", "cmd"},
}

// pure folders touch neither files nor processes, except in their tests.
var pure = map[string][]string{
	"arch": {"os", "os/exec", "net", "syscall", "golang.org/x/sys"},
}

type source struct {
	file    string // slash-separated, from the module's root
	head    []byte // its first bytes
	imports []string
}

func (s source) test() bool { return strings.HasSuffix(s.file, "_test.go") }

func TestImportDirection(t *testing.T) {
	for _, s := range goFiles(t) {
		folder, ok := longest(s.file, layers)
		if !ok {
			if s.file != "layout_test.go" {
				t.Errorf("%s: no layer rules this folder; add it to layers", s.file)
			}
			continue
		}
		if s.test() && within(folder, "cmd") {
			folder = "cmd"
		}
		for _, imported := range s.imports {
			ours, ok := strings.CutPrefix(imported, module)
			if ok && !slices.ContainsFunc(layers[folder], func(f string) bool { return within(ours, f) }) {
				t.Errorf("%s: imports %s, which is not below %s", s.file, ours, folder)
			}
		}
	}
}

func TestPureFolders(t *testing.T) {
	for _, s := range goFiles(t) {
		folder, ok := longest(s.file, pure)
		if !ok || s.test() {
			continue
		}
		for _, imported := range s.imports {
			if slices.ContainsFunc(pure[folder], func(f string) bool { return within(imported, f) }) {
				t.Errorf("%s: imports %s, and %s is data and pure functions", s.file, imported, folder)
			}
		}
	}
}

func TestUnsafeIsIsolated(t *testing.T) {
	for _, s := range goFiles(t) {
		isolated, _ := path.Match("applier/ptrace/*_unsafe.go", s.file)
		if slices.Contains(s.imports, "unsafe") && !isolated {
			t.Errorf("%s: imports unsafe, which only applier/ptrace/*_unsafe.go may", s.file)
		}
	}
}

func TestLicenceLine(t *testing.T) {
	for _, s := range goFiles(t) {
		if !bytes.HasPrefix(s.head, []byte("// SPDX-License-Identifier: GPL-2.0-or-later\n")) {
			t.Errorf("%s: does not begin with its SPDX line", s.file)
		}
	}
}

// goFiles reads every Go file of the module, whatever its build tags.
func goFiles(t *testing.T) []source {
	t.Helper()
	var files []source
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		s := source{file: filepath.ToSlash(name), head: text[:min(len(text), 80)]}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, imported)
		}
		files = append(files, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 2 {
		t.Fatalf("found %d Go files: not in the module's root?", len(files))
	}
	return files
}

// longest returns the longest key of rules that file lies within.
func longest(file string, rules map[string][]string) (string, bool) {
	best, found := "", false
	for folder := range rules {
		if within(file, folder) && len(folder) > len(best) {
			best, found = folder, true
		}
	}
	return best, found
}

// within says that name is folder or lies in it.
func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}
