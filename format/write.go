// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"aead.dev/minisign"

	"github.com/ulpatch/ulpatch/format/hint"
)

// Encode writes a bundle without signatures: what signatures cover. payloads
// are the contents for m.Payloads, of which only the Image is read; Encode
// sorts them. The result depends on the arguments alone.
func Encode(m Manifest, payloads [][]byte) ([]byte, error) {
	if len(payloads) != len(m.Payloads) {
		return nil, fmt.Errorf("%w: %d payloads, %d in the manifest", ErrManifest, len(payloads), len(m.Payloads))
	}
	type entry struct {
		info  PayloadInfo
		frame []byte
	}
	entries := make([]entry, len(payloads))
	for i, data := range payloads {
		if len(data) == 0 || len(data) > MaxPayloadSize {
			return nil, fmt.Errorf("payload for %s: %d bytes, not between 1 and %d", m.Payloads[i].Image.Name, len(data), MaxPayloadSize)
		}
		frame, err := pack(data)
		if err != nil {
			return nil, fmt.Errorf("payload for %s: %w", m.Payloads[i].Image.Name, err)
		}
		entries[i] = entry{PayloadInfo{
			Image:  m.Payloads[i].Image,
			Digest: digest(data), Size: int64(len(data)),
			PackedDigest: digest(frame), PackedSize: int64(len(frame)),
		}, frame}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return comparePayloads(a.info, b.info) })
	m.Payloads = make([]PayloadInfo, len(entries))
	frames := make([][]byte, len(entries))
	for i, e := range entries {
		m.Payloads[i], frames[i] = e.info, e.frame
	}
	manifest, err := EncodeManifest(m)
	if err != nil {
		return nil, err
	}
	return assemble(manifest, bytes.Join(frames, nil), nil), nil
}

// assemble lays the parts of a bundle one behind the other.
func assemble(manifest, payloads []byte, signatures [][]byte) []byte {
	h := header{int64(len(manifest)), int64(len(payloads))}
	out := h.append(make([]byte, 0, h.signed()+maxSigBlock))
	out = append(append(out, manifest...), payloads...)
	return appendSignatures(out, signatures)
}

// Sign adds a signature by each key to a bundle, which may have some already;
// another one by the same key takes the place of the first.
func Sign(bundle []byte, keys ...PrivateKey) ([]byte, error) {
	if len(keys) == 0 {
		return nil, errors.New("sign: no keys")
	}
	u, err := OpenUnverified(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	signed := bundle[:u.SignedSize()]
	texts := u.signatures
	for _, key := range keys {
		text, err := sign(key, signed, u.Comment())
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		if texts, err = withSignature(texts, text); err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
	}
	return appendSignatures(bytes.Clone(signed), texts), nil
}

// Attach adds a signature that was made elsewhere, in minisign's format, over
// the first SignedSize bytes of the bundle. It must be valid for key.
func Attach(bundle, signature []byte, key PublicKey) ([]byte, error) {
	u, err := OpenUnverified(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	var s minisign.Signature
	if err := s.UnmarshalText(signature); err != nil {
		return nil, fmt.Errorf("attach: %w: %w", ErrSignature, err)
	}
	if err := CheckText(s.TrustedComment, maxComment); err != nil {
		err = fmt.Errorf("attach: %w: trusted comment: %w", ErrSignature, err)
		return nil, hint.With(err, fmt.Sprintf("minisign -S -t %q sets it", u.Comment()))
	}
	s.UntrustedComment = untrustedComment
	text, err := s.MarshalText()
	if err != nil {
		return nil, fmt.Errorf("attach: %w: %w", ErrSignature, err)
	}
	signed := bundle[:u.SignedSize()]
	if _, err := TrustKeys(key).verify(bytes.NewReader(signed), [][]byte{text}); err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	texts, err := withSignature(u.signatures, text)
	if err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	return appendSignatures(bytes.Clone(signed), texts), nil
}

// withSignature returns the signatures with one more, by key ID.
func withSignature(texts [][]byte, text []byte) ([][]byte, error) {
	added, err := parseSignature(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	type entry struct {
		id   uint64
		text []byte
	}
	entries := []entry{{added.KeyID, text}}
	for _, old := range texts {
		s, err := parseSignature(old)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSignature, err)
		}
		if s.KeyID != added.KeyID {
			entries = append(entries, entry{s.KeyID, old})
		}
	}
	if len(entries) > MaxSignatures {
		return nil, fmt.Errorf("more than %d signatures", MaxSignatures)
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.id, b.id) })
	sorted := make([][]byte, len(entries))
	for i, e := range entries {
		sorted[i] = e.text
	}
	return sorted, nil
}
