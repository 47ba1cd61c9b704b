// SPDX-License-Identifier: GPL-2.0-or-later

package format_test

import (
	"bytes"
	"debug/elf"
	"strings"
	"testing"

	"aead.dev/minisign"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/payload"
	"github.com/ulpatch/ulpatch/specs/vectors"
)

// maker makes vectors. Its keys are known to everybody: trust them nowhere.
type maker struct {
	t       *testing.T
	key     format.PrivateKey // trusted
	other   format.PrivateKey // not trusted
	vectors map[string]vectors.Vector
}

func makeVectors(t *testing.T) map[string]vectors.Vector {
	m := &maker{t: t, key: fixedKey(t, 1), other: fixedKey(t, 2), vectors: map[string]vectors.Vector{}}
	m.valid()
	m.envelopes()
	m.signatures()
	m.manifests()
	m.frames()
	m.bodies()
	m.hooks()
	m.policies()
	return m.vectors
}

func fixedKey(t *testing.T, seed byte) format.PrivateKey {
	t.Helper()
	_, key, err := minisign.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (m *maker) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *maker) add(name, expect, comment string, data []byte) {
	m.t.Helper()
	if _, ok := m.vectors[name]; ok {
		m.t.Fatalf("vector %s twice", name)
	}
	m.vectors[name] = vectors.Vector{
		Name: name, Expect: expect, Comment: comment, Data: data, Threshold: 1,
		Keys: []string{publicText(m.key)},
	}
}

func publicText(key format.PrivateKey) string { return key.Public().(format.PublicKey).String() }

// file is the payload that most vectors have: one function of one instruction.
func file(buildID string) *payload.File {
	return &payload.File{
		Machine: elf.EM_X86_64,
		Sections: []payload.Section{{
			Name: ".text.f", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Align: 16, Size: 6,
			Data:   []byte{0xe8, 0, 0, 0, 0, 0xc3},
			Relocs: []payload.Reloc{{Off: 1, Type: uint32(elf.R_X86_64_PLT32), Symbol: 1, Addend: -4}},
		}},
		Symbols: []payload.Symbol{
			{Name: "f", Section: 0, Size: 6, Type: elf.STT_FUNC, Bind: elf.STB_GLOBAL},
			{Name: "puts", Section: payload.Undefined, Type: elf.STT_FUNC, Bind: elf.STB_GLOBAL},
		},
		Table: format.Table{
			Image: format.Image{Name: "demod", BuildID: buildID, Machine: "amd64"},
			Functions: []format.Function{{
				Range:  format.Range{Name: "f", Addr: 0x1200, Size: 64},
				Digest: strings.Repeat("ab", 32), Room: 64, Symbol: "f",
			}},
			Imports: []format.Import{{Symbol: "puts", Kind: format.ImportDynamic, Name: "puts", Version: "GLIBC_2.2.5", Func: true}},
		},
	}
}

const build1, build2 = "11111111", "22222222"

func (m *maker) payload(f *payload.File) []byte {
	data, err := payload.Encode(f)
	m.must(err)
	return data
}

func head() format.Manifest {
	return format.Manifest{ID: "CVE-2024-0001", Version: 1, Description: "bounds check"}
}

// unsigned encodes a manifest with a payload for each build-id.
func (m *maker) unsigned(man format.Manifest, builds ...string) []byte {
	var payloads [][]byte
	for _, id := range builds {
		f := file(id)
		man.Payloads = append(man.Payloads, format.PayloadInfo{Image: f.Table.Image})
		payloads = append(payloads, m.payload(f))
	}
	data, err := format.Encode(man, payloads)
	m.must(err)
	return data
}

func (m *maker) sign(data []byte, keys ...format.PrivateKey) []byte {
	signed, err := format.Sign(data, keys...)
	m.must(err)
	return signed
}

// signRaw signs bytes that need not be a bundle.
func (m *maker) signRaw(body []byte) []byte {
	text, err := format.SignText(m.key, body, "vector")
	m.must(err)
	return format.AppendSignatures(bytes.Clone(body), [][]byte{text})
}

func (m *maker) valid() {
	m.add("valid-one-payload", "valid", "the smallest bundle", m.sign(m.unsigned(head(), build1), m.key))
	m.add("valid-two-payloads", "valid", "payloads ascend by build-id", m.sign(m.unsigned(head(), build2, build1), m.key))
	m.add("valid-two-signatures", "valid", "the second key is not trusted, the first is enough", m.sign(m.unsigned(head(), build1), m.other, m.key))
	full := head()
	full.Description = "quotes \" \\ / < > & é \U0001f600"
	full.Replaces = []string{"CVE-2023-1", "_a+b.c-d"}
	m.add("valid-text", "valid", "only quote and backslash are escaped", m.sign(m.unsigned(full, build1), m.key))
	stored := m.payload(file(build1))
	m.add("valid-stored-frame", "valid", "a frame of one raw block, as any encoder may write", m.withFrame(stored, rawFrame(stored, nil)))
}

func (m *maker) envelopes() {
	unsigned := m.unsigned(head(), build1)
	good := m.sign(unsigned, m.key)
	change := func(at int, value ...byte) []byte {
		data := bytes.Clone(good)
		copy(data[at:], value)
		return data
	}
	huge := bytes.Repeat([]byte{0xff}, 8)
	for _, v := range []struct {
		name, expect, comment string
		data                  []byte
	}{
		{"empty", "envelope", "no bytes at all", nil},
		{"header-cut-short", "envelope", "31 of 32 bytes", good[:31]},
		{"magic-text-mode", "envelope", "CR LF became LF in a transfer as text", bytes.Replace(good, []byte("\r\n"), []byte("\n"), 1)},
		{"magic-case", "envelope", "ULP for ulp", change(1, []byte("ULP")...)},
		{"version-zero", "version", "version 0", change(8, 0)},
		{"version-two", "version", "version 2", change(8, 2)},
		{"version-big-endian", "version", "version 1 in the other byte order", change(8, 0, 0, 0, 1)},
		{"flags-set", "envelope", "flags are zero in version 1", change(12, 1)},
		{"manifest-size-zero", "envelope", "a manifest of no bytes", change(16, make([]byte, 8)...)},
		{"manifest-size-huge", "envelope", "a manifest of 2^64-1 bytes", change(16, huge...)},
		{"payloads-size-zero", "envelope", "payloads of no bytes", change(24, make([]byte, 8)...)},
		{"payloads-size-huge", "envelope", "payloads of 2^64-1 bytes", change(24, huge...)},
		{"payloads-size-wraps", "envelope", "a sum that wraps to a small number", change(24, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)},
		{"payload-cut-short", "envelope", "the last byte of the payloads is missing", unsigned[:len(unsigned)-1]},
		{"signature-cut-short", "envelope", "the last byte is missing", good[:len(good)-1]},
		{"signature-count-zero", "envelope", "a block of no signatures", append(bytes.Clone(unsigned), 0, 0, 0, 0)},
		{"signature-count-17", "envelope", "more signatures than allowed", change(len(unsigned), 17)},
		{"signature-length-zero", "envelope", "a signature of no bytes", append(bytes.Clone(unsigned), 1, 0, 0, 0, 0, 0, 0, 0)},
		{"signature-length-huge", "envelope", "a signature of 2^32-1 bytes", change(len(unsigned)+4, huge[:4]...)},
		{"trailing-byte", "envelope", "one byte behind the end", append(bytes.Clone(good), 0)},
		{"two-bundles", "envelope", "a bundle behind a bundle", append(bytes.Clone(good), good...)},
	} {
		m.add(v.name, v.expect, v.comment, v.data)
	}
}

func (m *maker) signatures() {
	unsigned := m.unsigned(head(), build1)
	good := m.sign(unsigned, m.key)
	text := good[len(unsigned)+8:]
	flip := func(at int) []byte {
		data := bytes.Clone(good)
		data[at] ^= 1
		return data
	}
	// with has these texts as signatures.
	with := func(texts ...[]byte) []byte { return format.AppendSignatures(bytes.Clone(unsigned), texts) }
	edit := func(old, new string) []byte {
		if !bytes.Contains(text, []byte(old)) {
			m.t.Fatalf("%q is not in the signature", old)
		}
		return with(bytes.Replace(text, []byte(old), []byte(new), 1))
	}
	signed := func(key format.PrivateKey, message []byte) []byte {
		text, err := format.SignText(key, message, "vector")
		m.must(err)
		return text
	}
	legacy := minisign.SignWithComments(m.key, unsigned, "vector", "signature of an ulpatch bundle")
	var relabelled minisign.Signature
	m.must(relabelled.UnmarshalText(text))
	relabelled.Algorithm = minisign.EdDSA // no signature covers the algorithm
	smaller, larger := signed(m.other, unsigned), text
	if m.key.ID() < m.other.ID() {
		smaller, larger = larger, smaller
	}
	for _, v := range []struct {
		name, comment string
		data          []byte
	}{
		{"unsigned", "no signature block", unsigned},
		{"unknown-key", "signed by a key that is not trusted", m.sign(unsigned, m.other)},
		{"manifest-bit-flipped", "one bit in the manifest", flip(format.HeaderSize + 8)},
		{"payload-bit-flipped", "the last bit of the payloads", flip(len(unsigned) - 1)},
		{"signature-of-another-bundle", "a block from elsewhere", append(bytes.Clone(unsigned), m.sign(m.unsigned(head(), build2), m.key)[len(m.unsigned(head(), build2)):]...)},
		{"signature-not-prehashed", "minisign's legacy algorithm, Ed", with(legacy)},
		{"signature-relabelled", "a valid signature, ED, that says it is Ed", with([]byte(relabelled.String()))},
		{"signature-untrusted-comment", "the first line is not the fixed one", edit("signature of an", "Signature of an")},
		{"signature-trusted-comment", "the trusted comment was changed", edit("version 1", "version 2")},
		{"signature-crlf", "a line that ends with CR LF", edit("bundle\n", "bundle\r\n")},
		{"signature-no-final-newline", "the last newline is missing", with(text[:len(text)-1])},
		{"signature-two-final-newlines", "an empty line at the end", with(append(bytes.Clone(text), '\n'))},
		{"signature-not-base64", "a character that is not base64", edit("\nRU", "\nR*")},
		{"signatures-not-sorted", "the larger key ID first", with(larger, smaller)},
		{"signature-twice", "one signature two times", with(text, text)},
		{"signature-forged", "it claims to be by the trusted key", with(signed(m.key, []byte("something else")))},
	} {
		m.add(v.name, "signature", v.comment, v.data)
	}
}
