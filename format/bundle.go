// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"errors"
)

// Version is the version of the bundle format that this package writes, and
// the only one that it reads.
const Version = 1

// One sentinel for each layer, in the order in which a bundle is read. Each
// refusal wraps exactly one of them.
var (
	// ErrEnvelope: not a bundle, or cut short, or more than a bundle.
	ErrEnvelope = errors.New("not a well-formed bundle")
	// ErrVersion: a bundle of a version that this package does not know.
	ErrVersion = errors.New("unknown version of the bundle format")
	// ErrSignature: a signature is malformed or forged, or too few are by trusted
	// keys.
	ErrSignature = errors.New("not validly signed")
	// ErrManifest: signed, but its manifest says what it may not.
	ErrManifest = errors.New("not a valid manifest")
	// ErrFeature: it needs a feature that this package does not know.
	ErrFeature = errors.New("needs a feature that this version does not have")
	// ErrPolicy: signed and well-formed, and the host's policy forbids it: it has
	// expired or is revoked, or its signers may not sign that.
	ErrPolicy = errors.New("not accepted here")
	// ErrDecompress: a payload's frame is not what the manifest says.
	ErrDecompress = errors.New("payload does not decompress to what the manifest says")
	// ErrBody: bytes that should be a payload are none. Package payload decides.
	ErrBody = errors.New("not a valid payload")
)

// Limits of a bundle. A file beyond them is refused before memory is taken for
// it.
const (
	MaxManifestSize = 1 << 20   // bytes of canonical JSON
	MaxPayloadSize  = 64 << 20  // bytes of one payload, decompressed
	MaxPacked       = 256 << 20 // bytes of all payloads as they stand in the bundle
	MaxUnpacked     = 256 << 20 // bytes of all payloads, decompressed
	MaxPayloads     = 1024
	MaxSignatures   = 16
	MaxSignature    = 1024 // bytes of one signature file
)

// Manifest is what a bundle says of itself.
type Manifest struct {
	ID          string   `json:"id"`          // name of the patch: 1 to 64 of A-Z a-z 0-9 . _ + -, not starting with . or -
	Version     int      `json:"version"`     // of the patch, from 1; a higher one supersedes
	Description string   `json:"description"` // one line, may be empty
	Expires     Time     `json:"expires"`     // from then on it is not applied any more; 0: never
	Critical    []string `json:"critical"`    // features without which it must not be applied, ascending
	Replaces    []string `json:"replaces"`    // IDs of other patches that it supersedes, ascending

	// Payloads by (Image.Machine, Image.BuildID), ascending.
	Payloads []PayloadInfo `json:"payloads"`
}

// PayloadInfo names a payload and its place: frames stand in this order, one
// behind the other. Encode fills in all but the Image.
type PayloadInfo struct {
	Image        Image  `json:"image"`
	Digest       string `json:"digest"`        // SHA-256 of the payload, lower-case hexadecimal
	Size         int64  `json:"size"`          // bytes of the payload
	PackedDigest string `json:"packed_digest"` // SHA-256 of the zstd frame
	PackedSize   int64  `json:"packed_size"`   // bytes of the zstd frame
}
