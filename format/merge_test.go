// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
)

// part is a bundle of payloads for the images that the letters stand for.
func part(t *testing.T, images string, change func(*Manifest)) Part {
	t.Helper()
	m := Manifest{ID: "CVE-1", Version: 2, Description: "fix", Replaces: []string{"CVE-0"}, Expires: 1893553445}
	var payloads [][]byte
	for _, r := range images {
		m.Payloads = append(m.Payloads, image("demod", strings.Repeat(string(r), 2), "amd64"))
		payloads = append(payloads, []byte("payload "+string(r)))
	}
	if change != nil {
		change(&m)
	}
	data, err := Encode(m, payloads)
	if err != nil {
		t.Fatal(err)
	}
	return unverified(t, data).Part("of " + images)
}

func unverified(t testing.TB, data []byte) *Unverified {
	t.Helper()
	u, err := OpenUnverified(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// What one part needs, all of them need.
func TestMergeFeatures(t *testing.T) {
	hooks := part(t, "a", func(m *Manifest) { m.Critical = []string{FeatureHooks} })
	for _, parts := range [][]Part{{hooks, part(t, "b", nil)}, {part(t, "b", nil), hooks}, {hooks, hooks, part(t, "b", nil)}} {
		merged, err := Merge(parts, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c := unverified(t, merged).Manifest.Critical; len(c) != 1 || c[0] != FeatureHooks {
			t.Errorf("critical: %v", c)
		}
	}
	if c := hooks.manifest.Critical; len(c) != 1 {
		t.Errorf("a part was changed: %v", c)
	}
}

func TestMerge(t *testing.T) {
	a, b, c := part(t, "ac", nil), part(t, "b", nil), part(t, "cd", nil)
	merged, err := Merge([]Part{a, b, c}, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Merge([]Part{c, b, a, a}, nil)
	if err != nil || !bytes.Equal(merged, again) {
		t.Errorf("the order shows: %v", err)
	}
	whole := part(t, "abcd", nil)
	if want := assembled(t, whole); !bytes.Equal(merged, want) {
		t.Error("it is not what Encode makes of all payloads")
	}
	u := unverified(t, merged)
	for i, want := range []string{"a", "b", "c", "d"} {
		if data, err := u.Payload(i); err != nil || string(data) != "payload "+want {
			t.Errorf("payload %d: %q, %v", i, data, err)
		}
	}
	changed, err := Merge([]Part{a}, func(m *Manifest) { m.Expires = 0 })
	if err != nil || unverified(t, changed).Manifest.Expires != 0 || len(unverified(t, changed).Manifest.Payloads) != 2 {
		t.Errorf("a change: %v", err)
	}
}

// Two writers may compress one payload in two ways. The smaller frame is taken,
// whatever the order.
func TestMergeTwoFrames(t *testing.T) {
	payload := bytes.Repeat([]byte("payload "), 50)
	small := one(t, payload, func(_ *PayloadInfo, frame []byte) []byte { return frame })
	stored := one(t, payload, func(*PayloadInfo, []byte) []byte {
		frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, byte(len(payload)), byte(len(payload) >> 8), 0, 0}
		block := len(payload)<<3 | 1
		return append(append(frame, byte(block), byte(block>>8), byte(block>>16)), payload...)
	})
	a, b := unverified(t, small).Part("small"), unverified(t, stored).Part("stored")
	for _, parts := range [][]Part{{a, b}, {b, a}} {
		merged, err := Merge(parts, nil)
		if err != nil || !bytes.Equal(merged, small[:unverified(t, small).SignedSize()]) {
			t.Errorf("not the smaller frame: %v", err)
		}
	}
}

func assembled(t *testing.T, p Part) []byte {
	t.Helper()
	data := make([]byte, p.frames.start[len(p.frames.start)-1]+p.frames.infos[len(p.frames.infos)-1].PackedSize)
	if _, err := p.frames.r.ReadAt(data, 0); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestMergeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		part Part
		want string
	}{
		"id":            {part(t, "b", func(m *Manifest) { m.ID = "CVE-2" }), `of a and of b are not of one patch: id "CVE-1" and "CVE-2"`},
		"version":       {part(t, "b", func(m *Manifest) { m.Version = 3 }), `version "2" and "3"`},
		"description":   {part(t, "b", func(m *Manifest) { m.Description = "" }), `description "fix" and ""`},
		"replaces":      {part(t, "b", func(m *Manifest) { m.Replaces = nil }), `replaces "[CVE-0]" and "[]"`},
		"expires":       {part(t, "b", func(m *Manifest) { m.Expires = 0 }), `expires "2030-01-02T03:04:05Z" and ""`},
		"image":         {part(t, "a", func(m *Manifest) { m.Payloads[0].Image.Name = "x" }), "have different payloads for"},
		"other payload": {other1(t), "different payloads for demod, build-id aaaa"},
		"damaged":       {damaged(t), "of b: payload does not decompress"},
	} {
		if data, err := Merge([]Part{part(t, "a", nil), c.part}, nil); data != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
	if _, err := Merge(nil, nil); err == nil {
		t.Error("nothing was merged")
	}
	if _, err := Merge([]Part{part(t, "a", nil)}, func(m *Manifest) { m.ID = "" }); !errors.Is(err, ErrManifest) {
		t.Errorf("a change that is not allowed: %v", err)
	}
}

// other1 has another payload for image a.
func other1(t *testing.T) Part {
	m := part(t, "a", nil).manifest
	data, err := Encode(m, [][]byte{[]byte("another")})
	if err != nil {
		t.Fatal(err)
	}
	return unverified(t, data).Part("of a'")
}

func damaged(t *testing.T) Part {
	p := part(t, "b", nil)
	data := assembled(t, p)
	data[len(data)-1] ^= 1
	p.frames.r = bytes.NewReader(data)
	return p
}

// A key that is elsewhere signs two short messages.
func TestDetached(t *testing.T) {
	_, _, unsigned := sample(t)
	u := unverified(t, unsigned)
	key := seeded(t, 1)
	text, err := key.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(string(text[bytes.LastIndexByte(text, '\n')+1:]))
	if err != nil {
		t.Fatal(err)
	}
	hsm := ed25519.PrivateKey(raw[62 : 62+ed25519.PrivateKeySize]) // behind algorithms, salt, limits and ID
	digest, err := u.Digest()
	if err != nil || len(digest) != 64 {
		t.Fatalf("digest of %d bytes, %v", len(digest), err)
	}
	signature := ed25519.Sign(hsm, digest)
	message, err := CommentMessage(signature, u.Comment())
	if err != nil {
		t.Fatal(err)
	}
	file, err := JoinSignature(public(key), signature, ed25519.Sign(hsm, message), u.Comment())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Attach(unsigned, file, public(key))
	if err != nil {
		t.Fatal(err)
	}
	if want := sign1(t, unsigned, key); !bytes.Equal(got, want) {
		t.Error("it is not what Sign makes")
	}
	if _, err := CommentMessage(signature[1:], "x"); err == nil {
		t.Error("a signature that is too short")
	}
	if _, err := JoinSignature(public(key), signature, signature[1:], "x"); err == nil {
		t.Error("a signature of the comment that is too short")
	}
	if _, err := JoinSignature(public(key), signature, signature, "x\ny"); err == nil {
		t.Error("two lines of comment")
	}
	swapped, err := JoinSignature(public(key), ed25519.Sign(hsm, message), signature, u.Comment())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Attach(unsigned, swapped, public(key)); !errors.Is(err, ErrSignature) {
		t.Errorf("the two swapped: %v", err)
	}
}

// synthetic is a bundle that is not in memory: many frames of random bytes.
type synthetic struct {
	head, tail []byte
	frame      []byte // each payload's frame
	payloads   int64
}

func (s *synthetic) ReadAt(p []byte, at int64) (int, error) {
	n := 0
	for n < len(p) {
		off := at + int64(n)
		var from []byte
		switch {
		case off < int64(len(s.head)):
			from = s.head[off:]
		case off < int64(len(s.head))+s.payloads:
			from = s.frame[(off-int64(len(s.head)))%int64(len(s.frame)):]
			from = from[:min(int64(len(from)), int64(len(s.head))+s.payloads-off)]
		default:
			from = s.tail[off-int64(len(s.head))-s.payloads:]
		}
		if len(from) == 0 {
			return n, fmt.Errorf("read at %d", off)
		}
		n += copy(p[n:], from)
	}
	return n, nil
}

// A bundle of 1,000 payloads and 200 MB is opened, and one payload read, in
// memory for the manifest and that payload.
func TestLargeBundle(t *testing.T) {
	const count, size = 1000, 200 << 10
	payload := make([]byte, size)
	random := rand.NewChaCha8([32]byte{1})
	if _, err := random.Read(payload); err != nil {
		t.Fatal(err)
	}
	frame, err := pack(payload)
	if err != nil {
		t.Fatal(err)
	}
	m := Manifest{ID: "CVE-1", Version: 1}
	for i := range count {
		info := PayloadInfo{
			Image:  Image{Name: "demod", BuildID: fmt.Sprintf("%040x", i+1), Machine: "amd64"},
			Digest: digest(payload), Size: size, PackedDigest: digest(frame), PackedSize: int64(len(frame)),
		}
		m.Payloads = append(m.Payloads, info)
	}
	manifest, err := EncodeManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	h := header{int64(len(manifest)), count * int64(len(frame))}
	file := &synthetic{head: append(h.append(nil), manifest...), frame: frame, payloads: h.payloads}
	key := seeded(t, 1)
	e := &envelope{header: h, head: file.head}
	text, err := signStream(key, e.signed(file), "large")
	if err != nil {
		t.Fatal(err)
	}
	file.tail = appendSignatures(nil, [][]byte{text})
	total := h.signed() + int64(len(file.tail))
	if total < 200e6 {
		t.Fatalf("only %d bytes", total)
	}
	taken := allocated(func() {
		b, err := Open(file, total, TrustKeys(public(key)))
		if err != nil {
			t.Fatal(err)
		}
		if data, err := b.Payload(count / 2); err != nil || !bytes.Equal(data, payload) {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
	})
	t.Logf("%d bytes of bundle, %d of manifest, %d of memory", total, len(manifest), taken)
	if taken > 16<<20 {
		t.Errorf("%d bytes were taken", taken)
	}
}

// allocated is how many bytes f allocates, all told.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Parts come from verified bundles too. Merging one takes its signatures off.
func TestPartOfVerified(t *testing.T) {
	_, _, unsigned := sample(t)
	key := seeded(t, 1)
	b, err := open(sign1(t, unsigned, key), public(key))
	if err != nil {
		t.Fatal(err)
	}
	if merged, err := Merge([]Part{b.Part("verified")}, nil); err != nil || !bytes.Equal(merged, unsigned) {
		t.Errorf("merged: %v", err)
	}
}
