// SPDX-License-Identifier: GPL-2.0-or-later

package trust

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"aead.dev/minisign"

	"github.com/ulpatch/ulpatch/format"
)

// ListFormat begins every list, so that no other text that somebody signed can
// be taken for one.
const ListFormat = "ulpatch-revoked-1"

// maxReason bounds the reason of a revocation, in bytes.
const maxReason = 256

// List is a list of what is revoked.
type List struct {
	Issued  format.Time
	Expires format.Time // 0: never. What it revokes stays revoked
	Revoked format.Revoked
}

var listKeys = []string{
	"format", "issued", "expires", "key", "key.id", "key.reason",
	"bundle", "bundle.id", "bundle.through", "bundle.payload", "bundle.reason",
}

// ParseList reads a list. Errors begin with name and the line.
func ParseList(name string, data []byte) (*List, error) {
	var file struct {
		Format  string
		Issued  instant
		Expires *instant
		Key     []struct{ ID, Reason string }
		Bundle  []struct {
			ID, Payload, Reason string
			Through             *int
		}
	}
	d, err := decode(name, data, MaxList, listKeys, &file)
	if err != nil {
		return nil, err
	}
	if file.Format != ListFormat {
		return nil, d.errorf("format", "format %q: not %q", file.Format, ListFormat)
	}
	if file.Issued == 0 {
		return nil, d.errorf("issued", "issued is missing")
	}
	l := &List{Issued: format.Time(file.Issued)}
	if file.Expires != nil {
		if l.Expires = format.Time(*file.Expires); l.Expires <= l.Issued {
			return nil, d.errorf("expires", "expires %s: not after %s, when it was issued", l.Expires, l.Issued)
		}
	}
	for i, k := range file.Key {
		at := fmt.Sprintf("key[%d]", i)
		if !keyIDPattern.MatchString(k.ID) {
			return nil, d.errorf(at+".id", "key %q: not 16 upper-case hexadecimal digits", k.ID)
		}
		if err := checkReason(k.Reason); err != nil {
			return nil, d.errorf(at+".reason", "key %s: %w", k.ID, err)
		}
		l.Revoked.Keys = append(l.Revoked.Keys, format.RevokedKey{ID: k.ID, Reason: k.Reason})
	}
	for i, b := range file.Bundle {
		at := fmt.Sprintf("bundle[%d]", i)
		r := format.RevokedBundle{ID: b.ID, Payload: b.Payload, Reason: b.Reason}
		if b.Through != nil {
			if r.Through = *b.Through; r.Through < 1 || r.Through > format.MaxVersion {
				return nil, d.errorf(at+".through", "through %d: not between 1 and %d", r.Through, format.MaxVersion)
			}
		}
		if where, err := checkRevoked(r); err != nil {
			return nil, d.errorf(at+where, "bundle: %w", err)
		}
		l.Revoked.Bundles = append(l.Revoked.Bundles, r)
	}
	return l, nil
}

// checkRevoked returns what is wrong with an entry, and where.
func checkRevoked(b format.RevokedBundle) (where string, err error) {
	if b.ID == "" && b.Payload == "" {
		return "", errors.New("neither id nor payload")
	}
	if b.ID != "" {
		if err := format.CheckID(b.ID); err != nil {
			return ".id", err
		}
	}
	if b.ID == "" && b.Through != 0 {
		return ".through", errors.New("through is of no use without id")
	}
	if raw, err := hex.DecodeString(b.Payload); b.Payload != "" && (err != nil || len(raw) != 32 || hex.EncodeToString(raw) != b.Payload) {
		return ".payload", fmt.Errorf("payload %q: not a SHA-256 in lower-case hexadecimal", b.Payload)
	}
	return ".reason", checkReason(b.Reason)
}

func checkReason(reason string) error {
	if reason == "" {
		return errors.New("reason is missing")
	}
	if err := format.CheckText(reason, maxReason); err != nil {
		return fmt.Errorf("reason: %w", err)
	}
	return nil
}

// VerifyList wants that signature is a minisign signature file (prehashed) over
// the text of a list by one of the keys, and returns that key's ID.
func VerifyList(text, signature []byte, keys []format.PublicKey) (string, error) {
	var s minisign.Signature
	if err := s.UnmarshalText(signature); err != nil {
		return "", err
	}
	if s.Algorithm != minisign.HashEdDSA {
		return "", errors.New("signature: not a prehashed (ED) one")
	}
	r := minisign.NewReader(bytes.NewReader(text))
	if _, err := io.Copy(io.Discard, r); err != nil {
		return "", err
	}
	id := format.KeyID(s.KeyID)
	for _, key := range keys {
		if key.ID() != s.KeyID {
			continue
		}
		if r.Verify(key, signature) {
			return id, nil
		}
		return "", fmt.Errorf("signature by key %s is invalid", id)
	}
	return "", fmt.Errorf("signed by key %s, which may not revoke", id)
}
