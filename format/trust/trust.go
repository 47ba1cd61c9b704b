// SPDX-License-Identifier: GPL-2.0-or-later

// Package trust reads what a host says of whom it trusts: a policy, and lists
// of what is revoked. It knows their texts and signatures, neither files nor
// the time; specs/trust.md describes them.
package trust

import (
	"errors"
	"fmt"
	"path"
	"regexp"

	"github.com/ulpatch/ulpatch/format"
)

// Limits of the texts, in bytes.
const (
	MaxPolicy = 64 << 10
	MaxList   = 256 << 10
)

// Policy is what a policy file says.
type Policy struct {
	// Threshold is how many keys have to sign a bundle, at least 1.
	Threshold int
	// Synchronised: a clock that the kernel does not call synchronised is not
	// believed.
	Synchronised bool
	// Fresh: without a list of what is revoked that has not expired, nothing is
	// accepted.
	Fresh bool
	// Keys are the rules of keys, by the names of their files without ".pub".
	Keys map[string]Rule
}

// Rule is what a policy says of a key; see format.TrustedKey.
type Rule struct {
	NotAfter              format.Time
	IDs, Images, BuildIDs []string
	// Revokes: lists of what is revoked count where this key has signed them.
	Revokes bool
	// Line is where the rule stands, from 1.
	Line int
}

// Default is the policy of a host that has none.
func Default() *Policy { return &Policy{Threshold: 1} }

// Rule is that of a key, by the name of its file without ".pub".
func (p *Policy) Rule(name string) Rule {
	if r, ok := p.Keys[name]; ok {
		return r
	}
	return Rule{Revokes: true}
}

var policyKeys = []string{
	"threshold", "clock", "revocations", "keys", "keys.*",
	"keys.*.not_after", "keys.*.ids", "keys.*.images", "keys.*.build_ids", "keys.*.revokes",
}

// ParsePolicy reads a policy. Errors begin with name and the line.
func ParsePolicy(name string, data []byte) (*Policy, error) {
	var file struct {
		Threshold   *int
		Clock       *string
		Revocations *string
		Keys        map[string]struct {
			NotAfter *instant `toml:"not_after"`
			IDs      []string `toml:"ids"`
			Images   []string
			BuildIDs []string `toml:"build_ids"`
			Revokes  *bool
		}
	}
	d, err := decode(name, data, MaxPolicy, policyKeys, &file)
	if err != nil {
		return nil, err
	}
	p := Default()
	if file.Threshold != nil {
		if p.Threshold = *file.Threshold; p.Threshold < 1 || p.Threshold > format.MaxSignatures {
			return nil, d.errorf("threshold", "threshold %d: not between 1 and %d", p.Threshold, format.MaxSignatures)
		}
	}
	if p.Synchronised, err = choice(file.Clock, "plausible", "synchronised"); err != nil {
		return nil, d.errorf("clock", "clock %w", err)
	}
	if p.Fresh, err = choice(file.Revocations, "optional", "fresh"); err != nil {
		return nil, d.errorf("revocations", "revocations %w", err)
	}
	p.Keys = map[string]Rule{}
	for key, k := range file.Keys {
		at := "keys." + key
		r := Rule{IDs: k.IDs, Images: k.Images, BuildIDs: k.BuildIDs, Revokes: k.Revokes == nil || *k.Revokes, Line: d.line(at)}
		if k.NotAfter != nil {
			r.NotAfter = format.Time(*k.NotAfter)
		}
		for _, list := range []struct {
			name   string
			values []string
			check  func(string) error
		}{{"ids", k.IDs, checkPattern}, {"images", k.Images, checkPattern}, {"build_ids", k.BuildIDs, format.CheckBuildID}} {
			for _, value := range list.values {
				if err := list.check(value); err != nil {
					return nil, d.errorf(at+"."+list.name, "%s: %w", list.name, err)
				}
			}
		}
		p.Keys[key] = r
	}
	return p, nil
}

// choice is true for the second word, false for the first or none.
func choice(word *string, first, second string) (bool, error) {
	switch {
	case word == nil || *word == first:
		return false, nil
	case *word == second:
		return true, nil
	}
	return false, fmt.Errorf("%q: neither %q nor %q", *word, first, second)
}

func checkPattern(pattern string) error {
	if pattern == "" {
		return errors.New("an empty pattern")
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("%q: %w", pattern, err)
	}
	return nil
}

var keyIDPattern = regexp.MustCompile(`^[0-9A-F]{16}$`)
