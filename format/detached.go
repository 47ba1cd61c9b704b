// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"crypto/ed25519"
	"fmt"
	"io"

	"aead.dev/minisign"
	"golang.org/x/crypto/blake2b"
)

// A key that never leaves its place, in an HSM or a KMS, makes two plain Ed25519
// signatures: of Digest, and of CommentMessage. JoinSignature makes one signature
// file of them, for Attach.

// Digest is what a key signs: BLAKE2b-512 of the first SignedSize bytes.
func (u *Unverified) Digest() ([]byte, error) {
	h, err := blake2b.New512(nil)
	if err != nil {
		return nil, err
	}
	size := u.SignedSize()
	if n, err := io.Copy(h, io.NewSectionReader(u.frames.r, 0, size)); err != nil {
		return nil, err
	} else if n != size {
		return nil, errShrank
	}
	return h.Sum(nil), nil
}

// Comment is the trusted comment of signatures of this bundle.
func (u *Unverified) Comment() string {
	return fmt.Sprintf("ulpatch bundle %s version %d", u.Manifest.ID, u.Manifest.Version)
}

// CommentMessage is what a key signs once it has signed Digest.
func CommentMessage(signature []byte, comment string) ([]byte, error) {
	if len(signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("signature of %d bytes, not %d", len(signature), ed25519.SignatureSize)
	}
	return append(signature[:len(signature):len(signature)], comment...), nil
}

// JoinSignature is the signature file that a key's two signatures make.
func JoinSignature(key PublicKey, signature, commentSignature []byte, comment string) ([]byte, error) {
	if len(signature) != ed25519.SignatureSize || len(commentSignature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("signatures of %d and %d bytes, not %d", len(signature), len(commentSignature), ed25519.SignatureSize)
	}
	if err := CheckText(comment, maxComment); err != nil {
		return nil, fmt.Errorf("comment: %w", err)
	}
	return minisign.Signature{
		Algorithm: minisign.HashEdDSA, KeyID: key.ID(),
		UntrustedComment: untrustedComment, TrustedComment: comment,
		Signature: [64]byte(signature), CommentSignature: [64]byte(commentSignature),
	}.MarshalText()
}
