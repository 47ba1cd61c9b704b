// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Bundle is a bundle whose signature was verified. There is no way to one but
// Open.
type Bundle struct {
	Manifest Manifest
	Signers  []Signer // whose signatures count, as many as the policy demands
	frames   frames
}

// Unverified is a bundle whose signature nobody looked at: to be shown to
// people, never to be applied.
type Unverified struct {
	Manifest   Manifest
	KeyIDs     []string // of those who claim to have signed it
	header     header
	signatures [][]byte
	frames     frames
}

// Open reads a bundle of size bytes in the order envelope, signatures, manifest,
// policy; payloads are read when they are asked for. r must stay readable until then;
// should its bytes change after they were verified, Payload refuses them.
func Open(r io.ReaderAt, size int64, trust Trust) (*Bundle, error) {
	e, err := readEnvelope(r, size)
	if err != nil {
		return nil, err
	}
	signed, err := trust.verify(e.signed(r), e.signatures)
	if err != nil {
		return nil, err
	}
	m, err := e.decodeManifest()
	if err != nil {
		return nil, err
	}
	signers, err := trust.policy.accept(m, signed)
	if err != nil {
		return nil, err
	}
	return &Bundle{Manifest: m, Signers: signers, frames: e.frames(r, m)}, nil
}

// OpenUnverified reads a bundle without asking who made it.
func OpenUnverified(r io.ReaderAt, size int64) (*Unverified, error) {
	e, err := readEnvelope(r, size)
	if err != nil {
		return nil, err
	}
	signatures, err := parseAll(e.signatures)
	if err != nil {
		return nil, err
	}
	m, err := e.decodeManifest()
	if err != nil {
		return nil, err
	}
	u := &Unverified{Manifest: m, header: e.header, signatures: e.signatures, frames: e.frames(r, m)}
	for _, s := range signatures {
		u.KeyIDs = append(u.KeyIDs, KeyID(s.KeyID))
	}
	return u, nil
}

// Payload reads and decompresses the payload of Manifest.Payloads[i].
func (b *Bundle) Payload(i int) ([]byte, error) { return b.frames.payload(i) }

// Payload reads and decompresses the payload of Manifest.Payloads[i].
func (u *Unverified) Payload(i int) ([]byte, error) { return u.frames.payload(i) }

// SignedSize is the number of bytes, from the start of the bundle, that
// signatures cover.
func (u *Unverified) SignedSize() int64 { return u.header.signed() }

// Signatures are the minisign signature files in the bundle.
func (u *Unverified) Signatures() [][]byte {
	out := make([][]byte, len(u.signatures))
	for i, s := range u.signatures {
		out[i] = slices.Clone(s)
	}
	return out
}

// envelope is a bundle's parts without the payloads, held in memory: what is
// verified is what is used.
type envelope struct {
	header     header
	head       []byte // header and manifest
	signatures [][]byte
}

func readEnvelope(r io.ReaderAt, size int64) (*envelope, error) {
	if size < headerSize || size > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrEnvelope, size)
	}
	start, err := readAt(r, 0, headerSize)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(start, size)
	if err != nil {
		return nil, err
	}
	manifest, err := readAt(r, headerSize, h.manifest)
	if err != nil {
		return nil, err
	}
	block, err := readAt(r, h.signed(), size-h.signed())
	if err != nil {
		return nil, err
	}
	signatures, err := parseSignatures(block)
	if err != nil {
		return nil, err
	}
	return &envelope{header: h, head: append(start, manifest...), signatures: signatures}, nil
}

// signed is what the signatures cover.
func (e *envelope) signed(r io.ReaderAt) io.Reader {
	start := int64(len(e.head))
	return io.MultiReader(bytes.NewReader(e.head), &exactReader{io.NewSectionReader(r, start, e.header.payloads), e.header.payloads})
}

// exactReader wants that n bytes come before the end.
type exactReader struct {
	r io.Reader
	n int64
}

func (e *exactReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if e.n -= int64(n); err == io.EOF && e.n > 0 {
		return n, errShrank
	}
	return n, err
}

func (e *envelope) decodeManifest() (Manifest, error) {
	m, err := DecodeManifest(e.head[headerSize:])
	if err != nil {
		return Manifest{}, err
	}
	var packed int64
	for _, p := range m.Payloads {
		packed += p.PackedSize
	}
	if packed != e.header.payloads {
		return Manifest{}, fmt.Errorf("%w: payloads of %d bytes, %d in the header", ErrManifest, packed, e.header.payloads)
	}
	return m, nil
}

// frames are the compressed payloads in a file.
type frames struct {
	r     io.ReaderAt
	infos []PayloadInfo // a copy: what was verified, whatever becomes of the manifest
	start []int64       // of each frame, in bytes from the start of the file
}

func (e *envelope) frames(r io.ReaderAt, m Manifest) frames {
	f := frames{r: r, infos: slices.Clone(m.Payloads)}
	at := int64(len(e.head))
	for _, p := range m.Payloads {
		f.start = append(f.start, at)
		at += p.PackedSize
	}
	return f
}

func (f frames) payload(i int) ([]byte, error) {
	_, data, err := f.read(i)
	return data, err
}

// read is the frame of a payload, and the payload.
func (f frames) read(i int) (frame, data []byte, err error) {
	info := f.infos[i]
	if frame, err = readAt(f.r, f.start[i], info.PackedSize); err != nil {
		return nil, nil, err
	}
	if digest(frame) != info.PackedDigest {
		return nil, nil, fmt.Errorf("%w: %s: packed_digest differs", ErrDecompress, info.Image.Name)
	}
	if data, err = unpack(frame, info.Size); err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrDecompress, info.Image.Name, err)
	}
	if digest(data) != info.Digest {
		return nil, nil, fmt.Errorf("%w: %s: digest differs", ErrDecompress, info.Image.Name)
	}
	return frame, data, nil
}

var errShrank = fmt.Errorf("%w: the file became shorter while it was read", ErrEnvelope)

func readAt(r io.ReaderAt, at, size int64) ([]byte, error) {
	data := make([]byte, size)
	n, err := r.ReadAt(data, at)
	switch {
	case int64(n) == size:
		return data, nil
	case errors.Is(err, io.EOF):
		return nil, errShrank
	}
	return nil, err
}
