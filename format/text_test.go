// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"unicode/utf8"
)

// Every character is allowed or not as the specification says.
func TestCharacters(t *testing.T) {
	spec, err := os.ReadFile("../specs/bundle.md")
	if err != nil {
		t.Fatal(err)
	}
	sentence := regexp.MustCompile(`A \*text\* is .*?\. `).Find(spec)
	number := func(text []byte) rune {
		n, err := strconv.ParseUint(string(text), 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		return rune(n)
	}
	forbidden := map[rune]bool{}
	for _, m := range regexp.MustCompile(`U\+([0-9A-F]+)(?: to U\+([0-9A-F]+))?`).FindAllSubmatch(sentence, -1) {
		first := number(m[1])
		last := first
		if m[2] != nil {
			last = number(m[2])
		}
		for r := first; r <= last; r++ {
			forbidden[r] = true
		}
	}
	if len(forbidden) < 100 {
		t.Fatalf("%d characters in %q", len(forbidden), sentence)
	}
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		if err := CheckText("x"+string(r), 5); (err != nil) != forbidden[r] {
			t.Errorf("%U: %v", r, err)
		}
	}
	for _, bad := range []string{"\xff", "\xc0\x80", "\xed\xa0\x80", "123456"} {
		if err := CheckText(bad, 5); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
