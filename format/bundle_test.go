// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"aead.dev/minisign"
)

// seeded is a key that is the same in every run.
func seeded(t testing.TB, seed byte) PrivateKey {
	t.Helper()
	_, key, err := minisign.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(key PrivateKey) PublicKey { return key.Public().(PublicKey) }

func image(name, id, machine string) PayloadInfo {
	return PayloadInfo{Image: Image{Name: name, BuildID: strings.Repeat(id, 20), Machine: machine}}
}

// sample is a bundle of three payloads, given in another order than written.
func sample(t testing.TB) (Manifest, [][]byte, []byte) {
	t.Helper()
	m := Manifest{
		ID: "CVE-2024-0001", Version: 3, Description: `bounds check in "parse" <é>`,
		Replaces: []string{"CVE-2023-1", "CVE-2023-2"},
		Payloads: []PayloadInfo{image("demod", "22", "arm64"), image("demod", "11", "arm64"), image("demod", "33", "amd64")},
	}
	payloads := [][]byte{bytes.Repeat([]byte("arm64 2 "), 100), []byte("arm64 1"), bytes.Repeat([]byte("amd64"), 1000)}
	unsigned, err := Encode(m, payloads)
	if err != nil {
		t.Fatal(err)
	}
	return m, payloads, unsigned
}

func sign1(t testing.TB, unsigned []byte, keys ...PrivateKey) []byte {
	t.Helper()
	signed, err := Sign(unsigned, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func open(data []byte, keys ...PublicKey) (*Bundle, error) {
	return Open(bytes.NewReader(data), int64(len(data)), TrustKeys(keys...))
}

// openAll opens a bundle and reads every payload.
func openAll(data []byte, keys ...PublicKey) error {
	b, err := open(data, keys...)
	if err != nil {
		return err
	}
	for i := range b.Manifest.Payloads {
		if _, err := b.Payload(i); err != nil {
			return err
		}
	}
	return nil
}

func TestRoundTrip(t *testing.T) {
	m, payloads, unsigned := sample(t)
	key := seeded(t, 1)
	signed := sign1(t, unsigned, key)
	b, err := open(signed, public(key))
	if err != nil {
		t.Fatal(err)
	}
	if b.Manifest.ID != m.ID || b.Manifest.Version != 3 || b.Manifest.Description != m.Description || !reflect.DeepEqual(b.Manifest.Replaces, m.Replaces) {
		t.Errorf("manifest %+v", b.Manifest)
	}
	if want := []Signer{{KeyID(key.ID()), "ulpatch bundle CVE-2024-0001 version 3"}}; !reflect.DeepEqual(b.Signers, want) {
		t.Errorf("signers %v, expected %v", b.Signers, want)
	}
	for i, from := range []int{2, 1, 0} { // amd64 33, arm64 11, arm64 22
		if b.Manifest.Payloads[i].Image != m.Payloads[from].Image {
			t.Errorf("payload %d is for %v", i, b.Manifest.Payloads[i].Image)
		}
		if data, err := b.Payload(i); err != nil || !bytes.Equal(data, payloads[from]) {
			t.Errorf("payload %d: %v: %q", i, err, data)
		}
	}
	_, _, again := sample(t)
	if !bytes.Equal(sign1(t, again, key), signed) {
		t.Error("the same bundle was written in two ways")
	}
}

func TestTrust(t *testing.T) {
	_, _, unsigned := sample(t)
	a, b, c := seeded(t, 1), seeded(t, 2), seeded(t, 3)
	both := sign1(t, sign1(t, unsigned, a), b)
	if !bytes.Equal(both, sign1(t, unsigned, b, a)) {
		t.Error("the order of signing shows")
	}
	if !bytes.Equal(both, sign1(t, both, a)) {
		t.Error("signing again with one key changes the bundle")
	}
	for name, c := range map[string]struct {
		data    []byte
		trust   []PublicKey
		signers int // 0: refused
	}{
		"one of two":      {both, []PublicKey{public(b)}, 1},
		"both":            {both, []PublicKey{public(a), public(b), public(c)}, 2},
		"a stranger":      {both, []PublicKey{public(c)}, 0},
		"nobody":          {both, nil, 0},
		"not signed":      {unsigned, []PublicKey{public(a)}, 0},
		"another's block": {append(bytes.Clone(unsigned), sign1(t, other(t), a)[len(other(t)):]...), []PublicKey{public(a)}, 0},
	} {
		got, err := open(c.data, c.trust...)
		if c.signers == 0 {
			if !errors.Is(err, ErrSignature) {
				t.Errorf("%s: %v, expected ErrSignature", name, err)
			}
		} else if err != nil || len(got.Signers) != c.signers {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// other is a bundle that differs from the sample.
func other(t *testing.T) []byte {
	t.Helper()
	m, payloads, _ := sample(t)
	m.Version++
	unsigned, err := Encode(m, payloads)
	if err != nil {
		t.Fatal(err)
	}
	return unsigned
}

// A valid signature does not make up for a forged one.
func TestForgedBesideValid(t *testing.T) {
	_, _, unsigned := sample(t)
	a, b := seeded(t, 1), seeded(t, 2)
	u, err := OpenUnverified(bytes.NewReader(sign1(t, unsigned, a)), int64(len(sign1(t, unsigned, a))))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := sign(b, []byte("something else"), "x")
	if err != nil {
		t.Fatal(err)
	}
	texts, err := withSignature(u.signatures, forged)
	if err != nil {
		t.Fatal(err)
	}
	data := appendSignatures(bytes.Clone(unsigned), texts)
	if _, err := open(data, public(a), public(b)); !errors.Is(err, ErrSignature) {
		t.Errorf("%v, expected ErrSignature", err)
	}
	if _, err := open(data, public(a)); err != nil {
		t.Errorf("a signature by a stranger is not ours to judge: %v", err)
	}
}

// A key whose public half was swapped gives no signature.
func TestSplicedKey(t *testing.T) {
	_, _, unsigned := sample(t)
	text, err := seeded(t, 1).MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	line := bytes.LastIndexByte(text, '\n') + 1
	raw, err := base64.StdEncoding.DecodeString(string(text[line:]))
	if err != nil {
		t.Fatal(err)
	}
	raw[100] ^= 1 // in the public half
	var key PrivateKey
	if err := key.UnmarshalText([]byte(base64.StdEncoding.EncodeToString(raw))); err != nil {
		t.Fatal(err)
	}
	if _, err := Sign(unsigned, key); err == nil {
		t.Error("signed")
	}
}

func TestEveryByteIsCovered(t *testing.T) {
	_, _, unsigned := sample(t)
	key := seeded(t, 1)
	signed := sign1(t, unsigned, key)
	layers := map[error]int{}
	for i := range signed {
		for _, mask := range []byte{0x01, 0x20, 0x80, 0xff} {
			bad := bytes.Clone(signed)
			bad[i] ^= mask
			err := openAll(bad, public(key))
			if err == nil {
				t.Fatalf("byte %#x ^ %#x: accepted", i, mask)
			}
			layers[layer(t, err)]++
		}
	}
	if layers[ErrManifest]+layers[ErrDecompress]+layers[ErrFeature]+layers[ErrBody] > 0 {
		t.Errorf("something was read before its signature: %v", layers)
	}
}

func TestEveryLengthIsRefused(t *testing.T) {
	_, _, unsigned := sample(t)
	key := seeded(t, 1)
	signed := sign1(t, unsigned, key)
	for n := range signed {
		err := openAll(signed[:n], public(key))
		want := ErrEnvelope
		if n == len(unsigned) {
			want = ErrSignature // a bundle that is not signed yet
		}
		if !errors.Is(err, want) {
			t.Fatalf("%d of %d bytes: %v", n, len(signed), err)
		}
	}
	for _, tail := range [][]byte{{0}, {'\n'}, signed} {
		if err := openAll(append(bytes.Clone(signed), tail...), public(key)); !errors.Is(err, ErrEnvelope) {
			t.Errorf("%d bytes too many: %v", len(tail), err)
		}
	}
}

// layer is the one sentinel that an error wraps.
func layer(t testing.TB, err error) error {
	t.Helper()
	var found []error
	for _, s := range []error{ErrEnvelope, ErrVersion, ErrSignature, ErrManifest, ErrFeature, ErrPolicy, ErrDecompress, ErrBody} {
		if errors.Is(err, s) {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%v wraps %v, expected one sentinel", err, found)
	}
	return found[0]
}

// crafted is a signed bundle with this manifest and these frames.
func crafted(t testing.TB, manifest string, frames []byte) []byte {
	t.Helper()
	body := assemble([]byte(manifest), frames, nil)
	text, err := sign(seeded(t, 1), body, "crafted")
	if err != nil {
		t.Fatal(err)
	}
	return appendSignatures(body, [][]byte{text})
}

// one is a bundle of one payload, whose frame and info are changed and signed.
func one(t testing.TB, payload []byte, change func(p *PayloadInfo, frame []byte) []byte) []byte {
	t.Helper()
	frame, err := pack(payload)
	if err != nil {
		t.Fatal(err)
	}
	p := image("demod", "11", "amd64")
	p.Digest, p.Size = digest(payload), int64(len(payload))
	frame = change(&p, frame)
	p.PackedDigest, p.PackedSize = digest(frame), int64(len(frame))
	manifest, err := EncodeManifest(Manifest{ID: "x", Version: 1, Payloads: []PayloadInfo{p}})
	if err != nil {
		t.Fatal(err)
	}
	return crafted(t, string(manifest), frame)
}

func TestFrames(t *testing.T) {
	zeros := make([]byte, 1<<20)
	random := make([]byte, 300<<10)
	for i := range random {
		random[i] = byte(mathrand.Uint32())
	}
	for name, c := range map[string]struct {
		payload []byte
		change  func(p *PayloadInfo, frame []byte) []byte
		ok      bool
	}{
		"as it is":        {zeros, func(p *PayloadInfo, f []byte) []byte { return f }, true},
		"stored":          {random, func(p *PayloadInfo, f []byte) []byte { return f }, true},
		"size too small":  {zeros, func(p *PayloadInfo, f []byte) []byte { p.Size--; return f }, false},
		"size too large":  {zeros, func(p *PayloadInfo, f []byte) []byte { p.Size++; return f }, false},
		"other digest":    {zeros, func(p *PayloadInfo, f []byte) []byte { p.Digest = digest(nil); return f }, false},
		"trailing byte":   {zeros, func(p *PayloadInfo, f []byte) []byte { return append(f, 0) }, false},
		"two frames":      {zeros, func(p *PayloadInfo, f []byte) []byte { return append(f, f...) }, false},
		"skippable after": {zeros, func(p *PayloadInfo, f []byte) []byte { return append(f, 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0) }, false},
		"skippable first": {zeros, func(p *PayloadInfo, f []byte) []byte {
			return append([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, f...)
		}, false},
		"cut short":   {zeros, func(p *PayloadInfo, f []byte) []byte { return f[:len(f)-1] }, false},
		"not zstd":    {zeros, func(p *PayloadInfo, f []byte) []byte { return []byte("hello, world") }, false},
		"says less":   {zeros, func(p *PayloadInfo, f []byte) []byte { f[7] = 0; p.Size = 1 << 8; return f }, false},
		"garbage end": {random, func(p *PayloadInfo, f []byte) []byte { f[len(f)-1] ^= 1; return f }, false},
	} {
		err := openAll(one(t, c.payload, c.change), public(seeded(t, 1)))
		if c.ok && err != nil || !c.ok && !errors.Is(err, ErrDecompress) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A frame that unfolds to more than it says, and one that says much more than
// it has, must not take memory beyond what the manifest says.
func TestBombs(t *testing.T) {
	// A frame that says 64 bytes, followed by blocks of 128 KiB, each one byte repeated.
	bomb := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 64}
	for range 5000 {
		block := uint32(128<<10)<<3 | 1<<1
		bomb = append(bomb, byte(block), byte(block>>8), byte(block>>16), 'x')
	}
	bomb = append(bomb, 1, 0, 0)
	data := one(t, make([]byte, 64), func(*PayloadInfo, []byte) []byte { return bomb })
	n := testing.Benchmark(func(b *testing.B) {
		for range b.N {
			if err := openAll(data, public(seeded(t, 1))); !errors.Is(err, ErrDecompress) {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if n > 4<<20 {
		t.Errorf("%d bytes were taken for 64", n)
	}
}

// A file that changes once it was verified does not reach the decompressor.
func TestChangesAfterOpen(t *testing.T) {
	_, _, unsigned := sample(t)
	key := seeded(t, 1)
	signed := sign1(t, unsigned, key)
	b, err := open(signed, public(key))
	if err != nil {
		t.Fatal(err)
	}
	signed[len(unsigned)-1] ^= 1
	last := len(b.Manifest.Payloads) - 1
	if _, err := b.Payload(last); !errors.Is(err, ErrDecompress) || !strings.Contains(err.Error(), "packed_digest") {
		t.Errorf("%v", err)
	}
	if _, err := b.Payload(0); err != nil {
		t.Errorf("an untouched payload: %v", err)
	}
}

// failing fails or ends at some offset.
type failing struct {
	data []byte
	from int64
	err  error
}

func (f failing) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > f.from {
		return 0, f.err
	}
	return bytes.NewReader(f.data).ReadAt(p, at)
}

func TestReadErrors(t *testing.T) {
	_, _, unsigned := sample(t)
	key := seeded(t, 1)
	signed := sign1(t, unsigned, key)
	broken := errors.New("input/output error")
	for from := range int64(len(signed)) {
		_, err := Open(failing{signed, from, broken}, int64(len(signed)), TrustKeys(public(key)))
		if !errors.Is(err, broken) {
			t.Fatalf("at %d: %v", from, err)
		}
		_, err = Open(failing{signed, from, io.EOF}, int64(len(signed)), TrustKeys(public(key)))
		if !errors.Is(err, ErrEnvelope) {
			t.Fatalf("at %d: %v", from, err)
		}
	}
}

func TestHeaderLimits(t *testing.T) {
	_, _, unsigned := sample(t)
	signed := sign1(t, unsigned, seeded(t, 1))
	for name, c := range map[string]struct {
		at    int
		value uint64
		bits  int
		want  error
	}{
		"version 0":          {8, 0, 32, ErrVersion},
		"version 2":          {8, 2, 32, ErrVersion},
		"flags":              {12, 1, 32, ErrEnvelope},
		"no manifest":        {16, 0, 64, ErrEnvelope},
		"manifest too large": {16, MaxManifestSize + 1, 64, ErrEnvelope},
		"manifest negative":  {16, 1<<64 - 1, 64, ErrEnvelope},
		"no payloads":        {24, 0, 64, ErrEnvelope},
		"payloads too large": {24, MaxPacked + 1, 64, ErrEnvelope},
		"payloads negative":  {24, 1 << 63, 64, ErrEnvelope},
		"no signatures":      {len(unsigned), 0, 32, ErrEnvelope},
		"many signatures":    {len(unsigned), MaxSignatures + 1, 32, ErrEnvelope},
		"signature empty":    {len(unsigned) + 4, 0, 32, ErrEnvelope},
		"signature huge":     {len(unsigned) + 4, 1<<32 - 1, 32, ErrEnvelope},
	} {
		bad := bytes.Clone(signed)
		if c.bits == 32 {
			binary.LittleEndian.PutUint32(bad[c.at:], uint32(c.value))
		} else {
			binary.LittleEndian.PutUint64(bad[c.at:], c.value)
		}
		if err := openAll(bad, public(seeded(t, 1))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, expected %v", name, err, c.want)
		}
	}
	if _, err := Open(bytes.NewReader(signed), MaxSize+1, TrustKeys(public(seeded(t, 1)))); !errors.Is(err, ErrEnvelope) {
		t.Errorf("too large: %v", err)
	}
}
