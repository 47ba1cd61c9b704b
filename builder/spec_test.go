// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"slices"
	"strings"
	"testing"
)

func TestParseSpec(t *testing.T) {
	s, err := ParseSpec("s", []byte("id = \"A\"\nversion = 2\ndescription = \"d\"\nreplaces = [\"B\"]\nexclude = [\"f\"]\n"+
		"[[allow]]\ncode = \"variable-size-changed\"\nname = \"t*\"\ntake = \"new\"\nreason = \"r\"\n"))
	if err != nil || s.ID != "A" || s.Version != 2 || !s.excludes("f") || s.excludes("g") || !slices.Equal(s.Replaces, []string{"B"}) {
		t.Fatalf("%+v, %v", s, err)
	}
	if s.allows(&Refusal{Code: CodeVariableSize, Name: "table"}) == nil {
		t.Error("not allowed by its pattern")
	}
	for _, r := range []Refusal{{Code: CodeVariableSize, Name: "other"}, {Code: CodeDataInitialiser, Name: "table"}, {Code: CodeVariableSize}} {
		if s.allows(&r) != nil {
			t.Errorf("%v is allowed", r)
		}
	}
	for text, want := range map[string]string{
		"id = \"A\"\n\nnonsense = 1\n": "s:3: unknown key",
		"id = 7\n":                     "s",
		"id = \"../x\"\n":              "id",
		"version = -1\n":               "version",
		"a = [\n":                      "s:",
		"[[allow]]\ncode = \"image-mismatch\"\nname = \"x\"\nreason = \"r\"\n":                   "image-mismatch",
		"[[allow]]\ncode = \"init-array-changed\"\nreason = \"r\"\n":                             "name",
		"[[allow]]\ncode = \"init-array-changed\"\nname = \"x\"\n":                               "reason",
		"[[allow]]\ncode = \"init-array-changed\"\nname = \"[\"\nreason = \"r\"\n":               "name",
		"[[allow]]\ncode = \"variable-size-changed\"\nname = \"x\"\nreason = \"r\"\n":            "take",
		"[[allow]]\ncode = \"init-array-changed\"\nname = \"x\"\ntake = \"new\"\nreason=\"r\"\n": "take",
		"[[allow]]\ncode = \"init-array-changed\"\nname = \"x\"\nwhy = \"r\"\n":                  "s:4: unknown key \"allow.why\"",
	} {
		if _, err := ParseSpec("s", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q in it", text, err, want)
		}
	}
}

// TestExclude: an excluded function stays as it is and is reported.
func TestExclude(t *testing.T) {
	l := newLab(t)
	opts := l.simple("switch")
	opts.Spec = &Spec{Exclude: []string{"scale"}}
	r, files := l.diffed(opts)
	if got := functionNames(files[0]); !slices.Equal(got, []string{"step"}) {
		t.Errorf("changed %v", got)
	}
	if got := r.Report.Units[0].Excluded; !slices.Equal(got, []string{"scale"}) {
		t.Errorf("excluded %v", got)
	}
	opts.Spec.Exclude = []string{"scale", "step"}
	l.refused(opts, CodeNothingChanged)
}

// TestTakeNew: a variable that the spec says to take anew comes along, with all
// functions that refer to it.
func TestTakeNew(t *testing.T) {
	l := newLab(t)
	opts := l.simple("size")
	l.refused(opts, CodeVariableSize)
	opts.Spec = &Spec{Allow: []Allow{{Code: CodeVariableSize, Name: "table", Take: "new", Reason: "r"}}}
	l.refused(opts, CodeSharedConstant)
	opts.Spec.Allow = append(opts.Spec.Allow, Allow{Code: CodeSharedConstant, Name: "table", Reason: "r"})
	r, files := l.diffed(opts)
	if !defines(files[0], "table") || !slices.Equal(functionNames(files[0]), []string{"pick"}) {
		t.Errorf("changed %v", functionNames(files[0]))
	}
	if len(r.Report.Units[0].Allowed) != 2 {
		t.Errorf("allowed %v", r.Report.Units[0].Allowed)
	}
}
