// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestBlocked: of all system calls that a thread can be blocked in, the kernel
// ends those that specs/consistency.md names, and restarts the others.
func TestBlocked(t *testing.T) {
	f := build(t, Recipe{Source: "blocked", Compile: []string{"-Wno-misleading-indentation"}})
	v := start(t, f)
	for range 5 {
		cycle(t, v, f)
	}
	s := status(t, v)
	_, list, _ := strings.Cut(s.Line, "interrupted:")
	got := strings.Fields(list)
	slices.Sort(got)
	want := documented(t)
	if !slices.Equal(got, want) {
		t.Errorf("interrupted: %v, documented: %v", got, want)
	}
	quit(t, v)
}

// documented reads the list in specs/consistency.md.
func documented(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile("../../../specs/consistency.md")
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- interrupted calls -->", "<!-- end -->"
	_, text, ok := strings.Cut(string(data), begin)
	text, _, ok2 := strings.Cut(text, end)
	if !ok || !ok2 {
		t.Fatal("specs/consistency.md has no list of interrupted calls")
	}
	var names []string
	for line := range strings.Lines(text) {
		if cells := strings.Split(line, "|"); len(cells) > 2 && strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			names = append(names, strings.Trim(strings.TrimSpace(cells[1]), "`"))
		}
	}
	slices.Sort(names)
	return names
}
