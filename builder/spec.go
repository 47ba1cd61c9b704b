// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/ulpatch/ulpatch/format"
)

// Spec is what people say of a patch; specs/patch-spec.md describes its file.
type Spec struct {
	ID          string   `toml:"id"`
	Version     int      `toml:"version"`
	Description string   `toml:"description"`
	Replaces    []string `toml:"replaces"`
	Exclude     []string `toml:"exclude"` // functions that stay as they are
	Allow       []Allow  `toml:"allow"`
}

// Allow lets one change pass that would be refused.
type Allow struct {
	Code   Code   `toml:"code"`
	Name   string `toml:"name"`   // of the symbol, or a pattern as in path.Match
	Take   string `toml:"take"`   // of changed data: "old" (also ""), or "new" for a fresh copy
	Reason string `toml:"reason"` // goes into the report
}

// allowable are the refusals that a patch spec can lift: those where leaving
// things as they are in the process can be right.
var allowable = []Code{CodeDataInitialiser, CodeVariableSize, CodeOptimised, CodeLayout, CodeTypeLayout, CodeSharedConstant, CodeInitArray, CodeSectionEntry}

// ParseSpec reads a patch spec. Keys that it does not know are errors.
func ParseSpec(name string, data []byte) (*Spec, error) {
	s := &Spec{}
	meta, err := toml.Decode(string(data), s)
	var parse toml.ParseError
	if errors.As(err, &parse) {
		return nil, fmt.Errorf("%s:%d: %s", name, parse.Position.Line, parse.Message)
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("%s:%d: unknown key %q", name, lineOf(data, unknown[0]), unknown[0])
	}
	if s.ID != "" {
		if err := format.CheckID(s.ID); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if s.Version < 0 {
		return nil, fmt.Errorf("%s: version %d: less than 1", name, s.Version)
	}
	for _, a := range s.Allow {
		if err := a.check(); err != nil {
			return nil, fmt.Errorf("%s: allow: %w", name, err)
		}
	}
	return s, nil
}

func (a Allow) check() error {
	if !slices.Contains(allowable, a.Code) {
		return fmt.Errorf("code %q: not one of %v", a.Code, allowable)
	}
	switch {
	case a.Take != "" && a.Take != "old" && a.Take != "new":
		return fmt.Errorf("take %q: neither old nor new", a.Take)
	case a.Take == "new" && a.Code != CodeDataInitialiser && a.Code != CodeVariableSize:
		return fmt.Errorf("%s: there is nothing to take", a.Code)
	case a.Take != "new" && a.Code == CodeVariableSize:
		return fmt.Errorf("%s: only take = \"new\" is possible", a.Code)
	}
	if a.Name == "" || a.Reason == "" {
		return fmt.Errorf("%s: name and reason are needed", a.Code)
	}
	if _, err := path.Match(a.Name, ""); err != nil {
		return fmt.Errorf("name %q: %w", a.Name, err)
	}
	return nil
}

// lineOf finds the line of a key.
func lineOf(data []byte, key toml.Key) int {
	last := key[len(key)-1]
	for i, line := range strings.Split(string(data), "\n") {
		name, _, ok := strings.Cut(line, "=")
		name = strings.Trim(strings.TrimSpace(name), `[]"' `)
		if (ok || strings.HasPrefix(strings.TrimSpace(line), "[")) && (name == last || name == key.String()) {
			return i + 1
		}
	}
	return 1
}

func (s *Spec) excludes(function string) bool {
	return s != nil && slices.Contains(s.Exclude, function)
}

// allows returns what lets r pass, or nil.
func (s *Spec) allows(r *Refusal) *Allow {
	if s == nil || r.Name == "" {
		return nil
	}
	for i, a := range s.Allow {
		if match, _ := path.Match(a.Name, r.Name); match && a.Code == r.Code {
			return &s.Allow[i]
		}
	}
	return nil
}
