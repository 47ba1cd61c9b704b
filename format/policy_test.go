// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// policed opens a bundle for two images, demod (11...) and libx.so (22...),
// signed by keys 1 and 2.
func policed(t *testing.T, expires Time, change func(p *Policy)) (*Bundle, error) {
	t.Helper()
	m := Manifest{ID: "CVE-2024-1", Version: 3, Expires: expires, Payloads: []PayloadInfo{image("demod", "11", "amd64"), image("libx.so", "22", "amd64")}}
	unsigned, err := Encode(m, [][]byte{[]byte("one"), []byte("two")})
	if err != nil {
		t.Fatal(err)
	}
	a, b := seeded(t, 1), seeded(t, 2)
	data := sign1(t, unsigned, a, b)
	p := Policy{Keys: []TrustedKey{{Key: public(a), Name: "a.pub"}, {Key: public(b), Name: "b.pub"}}}
	change(&p)
	return Open(bytes.NewReader(data), int64(len(data)), NewTrust(p))
}

func at(now Time) func() (time.Time, error) {
	return func() (time.Time, error) { return time.Unix(int64(now), 999999999), nil }
}

func TestPolicy(t *testing.T) {
	idA, idB := KeyID(seeded(t, 1).ID()), KeyID(seeded(t, 2).ID())
	wrong := func() (time.Time, error) { return time.Time{}, errors.New("the clock is wrong") }
	for name, c := range map[string]struct {
		expires Time
		change  func(p *Policy)
		want    error
		text    string // part of the error, or the signers
	}{
		"one is enough":              {0, func(p *Policy) {}, nil, idA + " " + idB},
		"two of two":                 {0, func(p *Policy) { p.Threshold = 2 }, nil, idA + " " + idB},
		"two of three":               {0, func(p *Policy) { p.Threshold = 2; p.Keys = append(p.Keys, TrustedKey{Key: public(seeded(t, 3))}) }, nil, idA + " " + idB},
		"three of two":               {0, func(p *Policy) { p.Threshold = 3 }, ErrSignature, "2 of 3 signatures that are needed"},
		"two, and one is a stranger": {0, func(p *Policy) { p.Threshold, p.Keys = 2, p.Keys[:1] }, ErrSignature, "1 of 2 signatures that are needed; key " + idB + " is not trusted"},
		"one key in the set twice":   {0, func(p *Policy) { p.Threshold, p.Keys = 2, []TrustedKey{p.Keys[0], p.Keys[0]} }, ErrSignature, "1 of 2"},

		"one key revoked":    {0, func(p *Policy) { p.Revoked.Keys = []RevokedKey{{idA, "stolen"}} }, nil, idB},
		"a key is missing":   {0, func(p *Policy) { p.Threshold = 2; p.Revoked.Keys = []RevokedKey{{idA, "stolen"}} }, ErrSignature, "1 of 2 signatures that are needed; key " + idA + " (a.pub) is revoked: stolen"},
		"both keys revoked":  {0, func(p *Policy) { p.Revoked.Keys = []RevokedKey{{idA, "x"}, {idB, "y"}} }, ErrSignature, idB + " (b.pub) is revoked: y"},
		"another is revoked": {0, func(p *Policy) { p.Revoked.Keys = []RevokedKey{{"0000000000000000", "x"}} }, nil, idA + " " + idB},

		"last second of a key": {0, func(p *Policy) { p.Keys[0].NotAfter, p.Clock = 100, at(100) }, nil, idA + " " + idB},
		"after a key's time":   {0, func(p *Policy) { p.Keys[0].NotAfter, p.Clock = 100, at(101) }, nil, idB},
		"all keys are too old": {0, func(p *Policy) { p.Keys[0].NotAfter, p.Keys[1].NotAfter, p.Clock = 100, 90, at(101) }, ErrSignature, "counts until 1970-01-01T00:01:40Z, and it is 1970-01-01T00:01:41Z"},
		"no clock for a key":   {0, func(p *Policy) { p.Keys[0].NotAfter = 100 }, nil, idB},
		"no clock, two keys":   {0, func(p *Policy) { p.Keys[0].NotAfter, p.Keys[1].NotAfter = 100, 100 }, ErrSignature, "the time is not known"},
		"wrong clock, a key":   {0, func(p *Policy) { p.Threshold, p.Keys[0].NotAfter, p.Clock = 2, 100, wrong }, ErrSignature, "the clock is wrong"},
		"nothing asks":         {0, func(p *Policy) { p.Clock = wrong }, nil, idA + " " + idB},

		"not expired yet":      {100, func(p *Policy) { p.Clock = at(99) }, nil, idA + " " + idB},
		"expires now":          {100, func(p *Policy) { p.Clock = at(100) }, ErrPolicy, "CVE-2024-1 expired at 1970-01-01T00:01:40Z, and it is 1970-01-01T00:01:40Z"},
		"expires, no clock":    {100, func(p *Policy) {}, ErrPolicy, "expires at 1970-01-01T00:01:40Z, and the time is not known"},
		"expires, wrong clock": {100, func(p *Policy) { p.Clock = wrong }, ErrPolicy, "the clock is wrong"},
		"expires, clock of 0":  {100, func(p *Policy) { p.Clock = at(0) }, ErrPolicy, "not after 1970"},

		"patch of any key":     {0, func(p *Policy) { p.Keys[0].IDs = []string{"CVE-*"} }, nil, idA + " " + idB},
		"not this patch":       {0, func(p *Policy) { p.Keys[0].IDs = []string{"CVE-2023-*", "x"} }, nil, idB},
		"no patch at all":      {0, func(p *Policy) { p.Keys[0].IDs, p.Keys[1].IDs = []string{}, []string{} }, ErrPolicy, "key " + idA + " (a.pub) may not sign CVE-2024-1"},
		"both images, by name": {0, func(p *Policy) { p.Keys[0].Images = []string{"demod", "libx.so*"} }, nil, idA + " " + idB},
		"one image of two":     {0, func(p *Policy) { p.Keys[0].Images = []string{"demod"} }, nil, idB},
		"name and build-id": {0, func(p *Policy) {
			p.Keys[0].Images, p.Keys[0].BuildIDs = []string{"demod"}, []string{strings.Repeat("22", 20)}
		}, nil, idA + " " + idB},
		"build-ids":             {0, func(p *Policy) { p.Keys[0].BuildIDs = []string{strings.Repeat("22", 20), strings.Repeat("11", 20)} }, nil, idA + " " + idB},
		"threshold, wrong keys": {0, func(p *Policy) { p.Threshold, p.Keys[0].BuildIDs = 2, []string{strings.Repeat("22", 20)} }, ErrPolicy, "1 of 2 signatures that are needed; key " + idA + " (a.pub) may not sign for demod, build-id 1111"},
		"no image at all":       {0, func(p *Policy) { p.Threshold, p.Keys[0].Images = 2, []string{} }, ErrPolicy, "may not sign for demod"},
		"malformed pattern":     {0, func(p *Policy) { p.Threshold, p.Keys[0].IDs = 2, []string{"["} }, ErrPolicy, "may not sign CVE-2024-1"},

		"revoked":               {0, func(p *Policy) { p.Revoked.Bundles = []RevokedBundle{{ID: "CVE-2024-1", Reason: "crashes"}} }, ErrPolicy, "CVE-2024-1 version 3 is revoked: crashes"},
		"revoked through 3":     {0, func(p *Policy) { p.Revoked.Bundles = []RevokedBundle{{ID: "CVE-2024-1", Through: 3}} }, ErrPolicy, "revoked"},
		"revoked through 2":     {0, func(p *Policy) { p.Revoked.Bundles = []RevokedBundle{{ID: "CVE-2024-1", Through: 2}} }, nil, idA + " " + idB},
		"another is revoked, 2": {0, func(p *Policy) { p.Revoked.Bundles = []RevokedBundle{{ID: "CVE-2024-2"}, {}} }, nil, idA + " " + idB},
		"a payload is revoked":  {0, func(p *Policy) { p.Revoked.Bundles = []RevokedBundle{{Payload: digest([]byte("two"))}} }, ErrPolicy, "revoked"},
		"another's payload": {0, func(p *Policy) {
			p.Revoked.Bundles = []RevokedBundle{{ID: "x", Payload: digest([]byte("two"))}, {Payload: digest(nil)}}
		}, nil, idA + " " + idB},
	} {
		b, err := policed(t, c.expires, c.change)
		if c.want != nil {
			if b != nil || layer(t, err) != c.want || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v, expected %v with %q", name, err, c.want, c.text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var signers []string
		for _, s := range b.Signers {
			signers = append(signers, s.KeyID)
		}
		want := strings.Fields(c.text)
		slices.Sort(want)
		if !slices.Equal(signers, want) {
			t.Errorf("%s: signers %v, expected %v", name, signers, want)
		}
	}
}

// A policy that was given away cannot be changed from outside.
func TestTrustIsACopy(t *testing.T) {
	keys := []TrustedKey{{Key: public(seeded(t, 1))}}
	trust := NewTrust(Policy{Keys: keys})
	keys[0].Key = public(seeded(t, 3))
	_, _, unsigned := sample(t)
	data := sign1(t, unsigned, seeded(t, 1))
	if _, err := Open(bytes.NewReader(data), int64(len(data)), trust); err != nil {
		t.Error(err)
	}
}
