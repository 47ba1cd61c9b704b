// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Policy is what a host demands of a bundle.
type Policy struct {
	Keys []TrustedKey // no two are the same key, or have the same ID
	// Threshold is how many keys have to sign, each for the whole bundle; 0
	// means 1.
	Threshold int
	Revoked   Revoked
	// Clock tells the time, or why it is not known. It is asked only where
	// something depends on it, which is refused without; nil knows no time.
	Clock func() (time.Time, error)
}

// TrustedKey is a key whose signatures count, and for what.
type TrustedKey struct {
	Key  PublicKey
	Name string // for messages
	// NotAfter is the last second in which the key counts; 0: no end.
	NotAfter Time
	// IDs are patterns (path.Match) of patches that it may sign; nil: all.
	IDs []string
	// Images are patterns of the names, and BuildIDs build-ids, of the images
	// that it may sign for: either will do. Both nil: all.
	Images, BuildIDs []string
}

// Revoked is what is trusted no more, whoever signed it.
type Revoked struct {
	Keys    []RevokedKey
	Bundles []RevokedBundle
}

// RevokedKey is a key by its ID, as KeyID writes it.
type RevokedKey struct{ ID, Reason string }

// RevokedBundle is every bundle that has what is given here.
type RevokedBundle struct {
	ID      string // of the patch; "": any
	Through int    // the patch's versions up to and including this; 0: all
	Payload string // SHA-256 of one of its payloads; "": any
	Reason  string
}

// Key tells whether a key is revoked, and why.
func (r Revoked) Key(id string) (reason string, revoked bool) {
	for _, k := range r.Keys {
		if k.ID == id {
			return k.Reason, true
		}
	}
	return "", false
}

// Bundle tells whether a patch is revoked, of which these are the SHA-256 of
// its payloads, and why.
func (r Revoked) Bundle(id string, version int, payloads ...string) (reason string, revoked bool) {
	for _, b := range r.Bundles {
		if (b.ID == "" || b.ID == id) && (b.Through == 0 || version <= b.Through) &&
			(b.Payload == "" || slices.Contains(payloads, b.Payload)) && (b.ID != "" || b.Payload != "") {
			return b.Reason, true
		}
	}
	return "", false
}

// maySign tells why a signature of the key does not count for a bundle; "": it
// does.
func (k TrustedKey) maySign(m Manifest) string {
	if k.IDs != nil && !matches(k.IDs, m.ID) {
		return fmt.Sprintf("%s may not sign %s", k.describe(), m.ID)
	}
	if k.Images == nil && k.BuildIDs == nil {
		return ""
	}
	for _, p := range m.Payloads {
		if !matches(k.Images, p.Image.Name) && !slices.Contains(k.BuildIDs, p.Image.BuildID) {
			return fmt.Sprintf("%s may not sign for %s, build-id %s", k.describe(), p.Image.Name, p.Image.BuildID)
		}
	}
	return ""
}

func (k TrustedKey) describe() string {
	if k.Name == "" {
		return "key " + KeyID(k.Key.ID())
	}
	return fmt.Sprintf("key %s (%s)", KeyID(k.Key.ID()), k.Name)
}

// matches: a pattern that is malformed matches nothing.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return ok && err == nil
	})
}

// errNoClock is what a policy without a clock knows of the time.
var errNoClock = errors.New("the time is not known")

func (p Policy) now() (Time, error) {
	if p.Clock == nil {
		return 0, errNoClock
	}
	now, err := p.Clock()
	if err != nil {
		return 0, err
	}
	return TimeOf(now)
}

func (p Policy) threshold() int { return max(p.Threshold, 1) }

// retired tells why a key does not count any more; "": it does.
func (p Policy) retired(k TrustedKey) string {
	if reason, revoked := p.Revoked.Key(KeyID(k.Key.ID())); revoked {
		return fmt.Sprintf("%s is revoked: %s", k.describe(), reason)
	}
	if k.NotAfter == 0 {
		return ""
	}
	now, err := p.now()
	if err != nil {
		return fmt.Sprintf("%s counts until %s, and %v", k.describe(), k.NotAfter, err)
	}
	if now > k.NotAfter {
		return fmt.Sprintf("%s counts until %s, and it is %s", k.describe(), k.NotAfter, now)
	}
	return ""
}

// accept judges a manifest that keys have signed, and returns those that may.
func (p Policy) accept(m Manifest, signers []signerKey) ([]Signer, error) {
	var digests []string
	for _, info := range m.Payloads {
		digests = append(digests, info.Digest)
	}
	if reason, revoked := p.Revoked.Bundle(m.ID, m.Version, digests...); revoked {
		return nil, fmt.Errorf("%w: %s version %d is revoked: %s", ErrPolicy, m.ID, m.Version, reason)
	}
	if m.Expires != 0 {
		now, err := p.now()
		if err != nil {
			return nil, fmt.Errorf("%w: %s expires at %s, and %w", ErrPolicy, m.ID, m.Expires, err)
		}
		if now >= m.Expires {
			return nil, fmt.Errorf("%w: %s expired at %s, and it is %s", ErrPolicy, m.ID, m.Expires, now)
		}
	}
	var count []Signer
	var without []string
	for _, s := range signers {
		if why := s.key.maySign(m); why != "" {
			without = append(without, why)
			continue
		}
		count = append(count, s.Signer)
	}
	if len(count) < p.threshold() {
		return nil, fmt.Errorf("%w: %s", ErrPolicy, tooFew(len(count), p.threshold(), without))
	}
	return count, nil
}

// tooFew says how many signatures count, and why others do not.
func tooFew(count, threshold int, without []string) string {
	if count == 0 && threshold == 1 && len(without) > 0 {
		return strings.Join(without, "; ")
	}
	return strings.Join(append([]string{fmt.Sprintf("%d of %d signatures that are needed", count, threshold)}, without...), "; ")
}
