// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"aead.dev/minisign"
)

// PublicKey verifies signatures; PrivateKey makes them. Both are minisign's.
type (
	PublicKey  = minisign.PublicKey
	PrivateKey = minisign.PrivateKey
)

const (
	// untrustedComment is the first line of every signature in a bundle. It is
	// not signed, so it has to be the same in all.
	untrustedComment = "signature of an ulpatch bundle"
	maxComment       = 512 // bytes
)

// Trust decides whether a bundle is accepted.
type Trust struct {
	policy Policy
}

// TrustKeys is the trust in the given keys: one valid signature by one of them
// is enough. Without any, no bundle is accepted.
func TrustKeys(keys ...PublicKey) Trust {
	var p Policy
	for _, key := range keys {
		p.Keys = append(p.Keys, TrustedKey{Key: key})
	}
	return NewTrust(p)
}

// NewTrust is the trust that a policy describes.
func NewTrust(p Policy) Trust {
	p.Keys = slices.Clone(p.Keys)
	return Trust{p}
}

// Revoked is what the policy revokes.
func (t Trust) Revoked() Revoked { return t.policy.Revoked }

// Signer is a trusted key whose signature is valid.
type Signer struct {
	KeyID   string // as minisign prints it: 16 upper-case hexadecimal digits
	Comment string // the trusted comment, which is signed
}

// KeyID writes a key's ID as minisign prints it.
func KeyID(id uint64) string { return fmt.Sprintf("%016X", id) }

// parseSignature reads the text of a signature in its only form: prehashed,
// with the fixed untrusted comment.
func parseSignature(text []byte) (minisign.Signature, error) {
	var s minisign.Signature
	if err := s.UnmarshalText(text); err != nil {
		return s, err
	}
	if s.Algorithm != minisign.HashEdDSA {
		return s, errors.New("not a prehashed (ED) signature")
	}
	if s.UntrustedComment != untrustedComment {
		return s, fmt.Errorf("untrusted comment is not %q", untrustedComment)
	}
	if err := CheckText(s.TrustedComment, maxComment); err != nil {
		return s, fmt.Errorf("trusted comment: %w", err)
	}
	if again, err := s.MarshalText(); err != nil || !bytes.Equal(again, text) {
		return s, ErrCanonical
	}
	return s, nil
}

// parseAll reads signatures, which ascend by key ID.
func parseAll(texts [][]byte) ([]minisign.Signature, error) {
	signatures := make([]minisign.Signature, len(texts))
	for i, text := range texts {
		s, err := parseSignature(text)
		if err != nil {
			return nil, fmt.Errorf("%w: signature %d: %w", ErrSignature, i, err)
		}
		if i > 0 && s.KeyID <= signatures[i-1].KeyID {
			return nil, fmt.Errorf("%w: signature %d: key IDs not in ascending order, or twice", ErrSignature, i)
		}
		signatures[i] = s
	}
	return signatures, nil
}

// signerKey is a signer with what is known of the key.
type signerKey struct {
	Signer
	key TrustedKey
}

// verify reads what is signed to its end and returns those who signed it and
// count, of whom there are enough. A signature that claims to be by a trusted
// key and is not is an error, however many others are valid.
func (t Trust) verify(signed io.Reader, texts [][]byte) ([]signerKey, error) {
	if len(texts) == 0 {
		return nil, fmt.Errorf("%w: it has no signature", ErrSignature)
	}
	if len(t.policy.Keys) == 0 {
		return nil, fmt.Errorf("%w: no key is trusted", ErrSignature)
	}
	signatures, err := parseAll(texts)
	if err != nil {
		return nil, err
	}
	message := minisign.NewReader(signed)
	if _, err := io.Copy(io.Discard, message); err != nil {
		return nil, err
	}
	var signers []signerKey
	var without []string
	for i, s := range signatures {
		key, known := t.find(s.KeyID, func(key PublicKey) bool { return message.Verify(key, texts[i]) })
		switch {
		case key != nil:
			if why := t.policy.retired(*key); why != "" {
				without = append(without, why)
				continue
			}
			signers = append(signers, signerKey{Signer{KeyID: KeyID(s.KeyID), Comment: s.TrustedComment}, *key})
		case known:
			return nil, fmt.Errorf("%w: signature by key %s is invalid", ErrSignature, KeyID(s.KeyID))
		default:
			without = append(without, fmt.Sprintf("key %s is not trusted", KeyID(s.KeyID)))
		}
	}
	if len(signers) < t.policy.threshold() {
		return nil, fmt.Errorf("%w: %s", ErrSignature, tooFew(len(signers), t.policy.threshold(), without))
	}
	return signers, nil
}

// find is the trusted key of an ID for which a signature is valid, or nil; known
// tells that there is a key of that ID.
func (t Trust) find(id uint64, valid func(PublicKey) bool) (key *TrustedKey, known bool) {
	for i, k := range t.policy.Keys {
		if k.Key.ID() == id {
			if known = true; valid(k.Key) {
				return &t.policy.Keys[i], true
			}
		}
	}
	return nil, known
}

// sign makes the text of a signature over message.
func sign(key PrivateKey, message []byte, comment string) ([]byte, error) {
	return signStream(key, bytes.NewReader(message), comment)
}

// signStream signs what it reads to its end. The signature is verified at once,
// for a key file may hold halves that do not belong together.
func signStream(key PrivateKey, message io.Reader, comment string) ([]byte, error) {
	r := minisign.NewReader(message)
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, err
	}
	text := r.SignWithComments(key, comment, untrustedComment)
	if public, ok := key.Public().(PublicKey); !ok || !r.Verify(public, text) {
		return nil, fmt.Errorf("key %s: its halves do not belong together", KeyID(key.ID()))
	}
	return text, nil
}
