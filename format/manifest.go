// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"
)

// Limits of a manifest's members.
const (
	MaxDescription = 4096 // bytes
	MaxReplaces    = 256
	MaxVersion     = 1<<31 - 1
	maxFeatures    = 64
)

// IDs end up in the names of memory mappings, and in file names; a feature is
// a word.
var (
	idPattern      = regexp.MustCompile(`^[A-Za-z0-9_+][A-Za-z0-9._+-]{0,63}$`)
	featurePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)
)

// features are the critical features that this package knows.
var features = []string{FeatureHooks, FeatureUnproved}

// CheckID tells whether id may name a patch: 1 to 64 of A-Z a-z 0-9 . _ + -,
// of which the first is neither a dot nor a hyphen.
func CheckID(id string) error {
	if !idPattern.MatchString(id) {
		return fmt.Errorf("id %q: not 1 to 64 of A-Z a-z 0-9 . _ + -, starting with none of . -", id)
	}
	return nil
}

// EncodeManifest writes m in canonical JSON, or says what is wrong with it.
func EncodeManifest(m Manifest) ([]byte, error) {
	data, err := encodeManifest(m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return data, nil
}

// DecodeManifest reads what EncodeManifest writes and nothing else. The error
// wraps ErrFeature where a critical feature is unknown, for then nothing else
// can be judged; else ErrManifest.
func DecodeManifest(data []byte) (Manifest, error) {
	if len(data) > MaxManifestSize {
		return Manifest{}, fmt.Errorf("%w: %d bytes, more than %d", ErrManifest, len(data), MaxManifestSize)
	}
	feature, err := unknownFeature(data)
	if err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if feature != "" {
		return Manifest{}, fmt.Errorf("%w: %s", ErrFeature, feature)
	}
	m, err := decodeCanonical(data, encodeManifest)
	if err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return m, nil
}

// unknownFeature looks for a critical feature that is not known in whatever is
// JSON: a newer version may have another form. "" is none.
func unknownFeature(data []byte) (string, error) {
	if !utf8.Valid(data) {
		return "", errors.New("json: not UTF-8")
	}
	var members map[string]json.RawMessage // a struct's fields would ignore case
	if err := json.Unmarshal(data, &members); err != nil {
		return "", err
	}
	for _, feature := range stringList(members["critical"]) {
		if featurePattern.MatchString(feature) && !slices.Contains(features, feature) {
			return feature, nil
		}
	}
	return "", nil
}

// stringList is nil for what is no list of strings.
func stringList(raw json.RawMessage) []string {
	var elements []any
	if json.Unmarshal(raw, &elements) != nil {
		return nil
	}
	list := make([]string, len(elements))
	for i, element := range elements {
		text, ok := element.(string)
		if !ok {
			return nil
		}
		list[i] = text
	}
	return list
}

func encodeManifest(m Manifest) ([]byte, error) {
	m.Critical, m.Replaces, m.Payloads = notNil(m.Critical), notNil(m.Replaces), notNil(m.Payloads)
	if err := m.check(); err != nil {
		return nil, err
	}
	data, err := encodeCanonical(m)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxManifestSize {
		return nil, fmt.Errorf("%d bytes, more than %d", len(data), MaxManifestSize)
	}
	return data, nil
}

func (m Manifest) check() error {
	if err := m.checkHead(); err != nil {
		return err
	}
	if len(m.Payloads) == 0 || len(m.Payloads) > MaxPayloads {
		return fmt.Errorf("%d payloads: not between 1 and %d", len(m.Payloads), MaxPayloads)
	}
	var packed, unpacked int64
	for i, p := range m.Payloads {
		if err := p.check(); err != nil {
			return fmt.Errorf("payloads[%d]: %w", i, err)
		}
		if i > 0 && comparePayloads(m.Payloads[i-1], p) >= 0 {
			return fmt.Errorf("payloads[%d]: build-id %s: not in ascending order, or twice", i, p.Image.BuildID)
		}
		packed += p.PackedSize
		unpacked += p.Size
	}
	if packed > MaxPacked || unpacked > MaxUnpacked {
		return fmt.Errorf("payloads: %d bytes, %d decompressed: more than %d, %d", packed, unpacked, MaxPacked, MaxUnpacked)
	}
	return nil
}

func (m Manifest) checkHead() error {
	if err := CheckID(m.ID); err != nil {
		return err
	}
	if m.Version < 1 || m.Version > MaxVersion {
		return fmt.Errorf("version %d: not between 1 and %d", m.Version, MaxVersion)
	}
	if err := CheckText(m.Description, MaxDescription); err != nil {
		return fmt.Errorf("description: %w", err)
	}
	if m.Expires < 0 || m.Expires > maxTime {
		return fmt.Errorf("expires: %d: not between 0 and %d", int64(m.Expires), int64(maxTime))
	}
	if len(m.Critical) > maxFeatures || !ascending(m.Critical) {
		return errors.New("critical: too many, or not in ascending order")
	}
	for _, feature := range m.Critical {
		if !slices.Contains(features, feature) {
			return fmt.Errorf("critical: %q: unknown", feature)
		}
	}
	if len(m.Replaces) > MaxReplaces || !ascending(m.Replaces) {
		return errors.New("replaces: too many, or not in ascending order")
	}
	for _, id := range m.Replaces {
		if err := CheckID(id); err != nil {
			return fmt.Errorf("replaces: %w", err)
		}
		if id == m.ID {
			return fmt.Errorf("replaces: %q is the patch itself", id)
		}
	}
	return nil
}

func (p PayloadInfo) check() error {
	if err := p.Image.check(); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	if err := checkDigest(p.Digest); err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	if p.Size < 1 || p.Size > MaxPayloadSize {
		return fmt.Errorf("size %d: not between 1 and %d", p.Size, MaxPayloadSize)
	}
	if err := checkDigest(p.PackedDigest); err != nil {
		return fmt.Errorf("packed_digest: %w", err)
	}
	if p.PackedSize < 1 || p.PackedSize > MaxPacked {
		return fmt.Errorf("packed_size %d: not between 1 and %d", p.PackedSize, MaxPacked)
	}
	return nil
}

func comparePayloads(a, b PayloadInfo) int {
	return cmp.Or(
		cmp.Compare(a.Image.Machine, b.Image.Machine),
		cmp.Compare(a.Image.BuildID, b.Image.BuildID),
	)
}

// ascending: sorted by bytes, and none twice.
func ascending(s []string) bool {
	for i := 1; i < len(s); i++ {
		if s[i] <= s[i-1] {
			return false
		}
	}
	return true
}
