// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"fmt"
	"strings"
	"testing"
)

func hookedTable() Table {
	return Table{
		Image: Image{Name: "demod", BuildID: "11111111", Machine: "amd64"},
		Functions: []Function{{
			Range:  Range{Name: "f", Addr: 0x1200, Size: 64},
			Digest: strings.Repeat("ab", 32), Room: 64, Symbol: "f",
		}},
		Hooks: []Hook{{PreApply, "a", "call.a", "done.a"}, {PostApply, "b", "call.b", "done.b"}},
	}
}

// A table with hooks is read as it was written, and one with a fault in them not
// at all.
func TestTableHooks(t *testing.T) {
	good, err := EncodeTable(hookedTable())
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeTable(good)
	if err != nil || len(back.Hooks) != 2 || back.Hooks[1] != hookedTable().Hooks[1] {
		t.Fatalf("%+v, %v", back.Hooks, err)
	}
	list := string(good[strings.Index(string(good), `,"hooks"`):])
	for name, with := range map[string]string{
		"empty":          `,"hooks":[]}`,
		"null":           `,"hooks":null}`,
		"no name":        strings.Replace(list, `"name":"a"`, `"name":""`, 1),
		"control":        strings.Replace(list, `"name":"a"`, `"name":"\u0001"`, 1),
		"no symbol":      strings.Replace(list, `"call.a"`, `""`, 1),
		"stage":          strings.Replace(list, `"pre-apply"`, `"before"`, 1),
		"unknown member": strings.Replace(list, `"stage"`, `"when":1,"stage"`, 1),
		"own progress":   strings.Replace(list, `"done.a"`, `"call.a"`, 1),
	} {
		if _, err := DecodeTable([]byte(strings.Replace(string(good), list, with, 1))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	many := hookedTable()
	many.Hooks = nil
	for i := range MaxHooks + 1 {
		many.Hooks = append(many.Hooks, Hook{PreApply, "a", fmt.Sprint("call", i), fmt.Sprint("done", i)})
	}
	if _, err := EncodeTable(many); err == nil {
		t.Error("too many: accepted")
	}
	many.Hooks = many.Hooks[1:]
	if _, err := EncodeTable(many); err != nil {
		t.Error(err)
	}
}
