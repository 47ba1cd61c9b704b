// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A flavour is how the objects of a case were compiled.
const (
	sections = "sections" // with -ffunction-sections -fdata-sections
	plain    = "plain"    // without
	clang    = "clang"    // without, and not by gcc
)

// flavours has the folder below that of the pairs, for each.
var flavours = []struct{ name, folder string }{{sections, ""}, {plain, plain}, {clang, clang}}

// testCase is one fix: a folder with orig/, fixed/ and target/, or, once it is
// prepared, with a bundle and target/.
type testCase struct {
	pkg, cve, flavour string // cve is the patch's id, too
	dir               string
	images            []string // paths of the linked images
	expected          outcome  // "": any in which nobody is harmed
}

func (c testCase) String() string {
	if c.flavour != sections {
		return c.flavour + "/" + c.pkg + "/" + c.cve
	}
	return c.pkg + "/" + c.cve
}

// image returns the path of the image with the given file name.
func (c testCase) image(name string) (string, bool) {
	i := slices.IndexFunc(c.images, func(path string) bool { return filepath.Base(path) == name })
	if i < 0 {
		return "", false
	}
	return c.images[i], true
}

// findCases lists the cases under pairs, sorted by name. only is "", PKG or
// PKG/CVE.
func findCases(pairs, flavour, only string) ([]testCase, error) {
	var cases []testCase
	for _, f := range flavours {
		if flavour != "all" && flavour != f.name {
			continue
		}
		found, err := filepath.Glob(filepath.Join(pairs, f.folder, "*", "*", "orig"))
		if err != nil {
			return nil, err
		}
		prepared, err := filepath.Glob(filepath.Join(pairs, f.folder, "*", "*", preparedFile))
		if err != nil {
			return nil, err
		}
		for _, mark := range append(found, prepared...) {
			dir := filepath.Dir(mark)
			c := testCase{
				pkg:     filepath.Base(filepath.Dir(dir)),
				cve:     filepath.Base(dir),
				flavour: f.name,
				dir:     dir,
			}
			if only != "" && only != c.pkg && only != c.pkg+"/"+c.cve {
				continue
			}
			if c.images, err = filepath.Glob(filepath.Join(dir, "target", "*")); err != nil {
				return nil, err
			}
			if c.expected, err = readExpected(dir); err != nil {
				return nil, err
			}
			cases = append(cases, c)
		}
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("%s: no case matches", pairs)
	}
	slices.SortFunc(cases, func(a, b testCase) int { return strings.Compare(a.String(), b.String()) })
	return cases, nil
}

// openCorpus returns the folder of the pairs under dir: dir itself, its pairs/,
// or the contents of its archives, which are unpacked into scratch.
func openCorpus(dir, scratch, only string) (pairs string, err error) {
	archives, err := filepath.Glob(filepath.Join(dir, "*.tar.zst"))
	if err != nil {
		return "", err
	}
	if unpacked := filepath.Join(dir, "pairs"); exists(unpacked) {
		return unpacked, nil
	}
	if len(archives) == 0 {
		return dir, nil
	}
	pkg, _, _ := strings.Cut(only, "/")
	for _, archive := range archives {
		name := strings.TrimSuffix(filepath.Base(archive), ".tar.zst")
		if pkg != "" && strings.TrimSuffix(name, "-plain") != pkg {
			continue
		}
		if err := unpack(archive, scratch); err != nil {
			return "", fmt.Errorf("%s: %w", archive, err)
		}
	}
	return scratch, nil
}

// expectedFile, where a case has one, holds its only right outcome.
const expectedFile = "expected"

func readExpected(dir string) (outcome, error) {
	text, err := os.ReadFile(filepath.Join(dir, expectedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	o := outcome(strings.TrimSpace(string(text)))
	if err == nil && o != applied && o != refused && o != busy {
		err = fmt.Errorf("%s: %q is none of %s, %s and %s", filepath.Join(dir, expectedFile), o, applied, refused, busy)
	}
	return o, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
