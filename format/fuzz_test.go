// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"bytes"
	"reflect"
	"runtime/metrics"
	"testing"
)

// FuzzDecodeBundle signs what comes, so that all layers are reached: a bundle
// or an error, never both; what is accepted is written back to the same bytes;
// payloads have the size that the manifest says; memory is in proportion to what
// is there, and to that size.
func FuzzDecodeBundle(f *testing.F) {
	_, _, unsigned := sample(f)
	key := seeded(f, 1)
	f.Add(unsigned)
	f.Add(sign1(f, unsigned, key))
	f.Add(one(f, []byte("payload"), func(_ *PayloadInfo, frame []byte) []byte { return frame }))
	f.Fuzz(func(t *testing.T, data []byte) {
		start := allocations()
		u, err := OpenUnverified(bytes.NewReader(data), int64(len(data)))
		if taken := allocations() - start; taken > 64*uint64(len(data))+1<<20 {
			t.Fatalf("%d bytes of memory for %d", taken, len(data))
		}
		if (err == nil) != (u != nil) {
			t.Fatalf("result %v with error %v", u, err)
		}
		if err != nil {
			layer(t, err)
			return
		}
		manifest, err := EncodeManifest(u.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		frames := data[headerSize+len(manifest) : u.SignedSize()]
		if again := assemble(manifest, frames, u.signatures); !bytes.Equal(again, data) {
			t.Fatal("accepted, and written back in another way")
		}
		signed, err := Sign(data[:u.SignedSize()], key)
		if err != nil {
			t.Fatal(err)
		}
		b, err := open(signed, public(key))
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range b.Manifest.Payloads {
			start := allocations()
			payload, err := b.Payload(i)
			if taken := allocations() - start; taken > uint64(p.Size+p.PackedSize)+4<<20 {
				t.Fatalf("%d bytes of memory for a payload of %d", taken, p.Size)
			}
			if err == nil && (int64(len(payload)) != p.Size || digest(payload) != p.Digest) {
				t.Fatalf("payload %d of %d bytes, expected %d", i, len(payload), p.Size)
			}
			if err != nil && layer(t, err) != ErrDecompress {
				t.Fatal(err)
			}
		}
	})
}

// allocations is how many bytes the process has allocated so far.
func allocations() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// FuzzManifest: as FuzzDecodeBundle, for the manifest alone.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(sampleManifest))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeManifest(data)
		if err != nil {
			layer(t, err)
			return
		}
		if again, err := EncodeManifest(m); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("accepted, and written back in another way (%v)", err)
		}
	})
}

// FuzzSignature: a signature or an error, and what is accepted is written back to
// the same bytes; of a whole block too. None is valid for what it was not made
// for.
func FuzzSignature(f *testing.F) {
	_, _, unsigned := sample(f)
	key := seeded(f, 1)
	block := sign1(f, unsigned, key)[len(unsigned):]
	f.Add(block[8:])
	f.Add(block)
	f.Add(sign1(f, unsigned, key, seeded(f, 2))[len(unsigned):])
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := parseSignature(data); err == nil {
			if again, err := s.MarshalText(); err != nil || !bytes.Equal(again, data) {
				t.Fatalf("accepted, and written back in another way (%v)", err)
			}
			if _, err := TrustKeys(public(key)).verify(bytes.NewReader([]byte("else")), [][]byte{data}); layer(t, err) != ErrSignature {
				t.Fatal(err)
			}
		}
		texts, err := parseSignatures(data)
		if err != nil {
			if layer(t, err) != ErrEnvelope {
				t.Fatal(err)
			}
			return
		}
		if again := appendSignatures(nil, texts); !bytes.Equal(again, data) {
			t.Fatal("a block is written back in another way")
		}
	})
}

// FuzzTable: a table or an error, and what is accepted is written back to the
// same bytes.
func FuzzTable(f *testing.F) {
	f.Add([]byte(sampleTable))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := DecodeTable(data)
		if err != nil {
			if !reflect.DeepEqual(table, Table{}) {
				t.Fatalf("result %v with error %v", table, err)
			}
			return
		}
		if again, err := EncodeTable(table); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("accepted, and written back in another way (%v)", err)
		}
	})
}
