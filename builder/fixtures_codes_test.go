// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCodes: the codes that the specification lists are those that there are, and
// for each there is a case that is refused with it.
func TestCodes(t *testing.T) {
	text, err := os.ReadFile("../specs/patch-spec.md")
	if err != nil {
		t.Fatal(err)
	}
	_, listed, found := strings.Cut(string(text), "\n## Codes\n")
	if !found {
		t.Fatal("no list of codes")
	}
	var spec []Code
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(listed, -1) {
		spec = append(spec, Code(m[1]))
	}
	slices.Sort(spec)
	if known := slices.Sorted(maps.Keys(kinds)); !slices.Equal(spec, known) {
		t.Errorf("the specification lists %v, and there are %v", spec, known)
	}
	reports, err := filepath.Glob(filepath.Join(fixtures, "*", "report.txt"))
	if err != nil {
		t.Fatal(err)
	}
	refused := map[Code]bool{}
	for _, path := range reports {
		report, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?m)^  refused: ([a-z-]+): ").FindAllSubmatch(report, -1) {
			refused[Code(m[1])] = true
		}
	}
	for _, code := range spec {
		if !refused[code] {
			t.Errorf("no case in %s is refused with %s", fixtures, code)
		}
	}
}
