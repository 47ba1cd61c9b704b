// SPDX-License-Identifier: GPL-2.0-or-later

package format_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/payload"
)

// manifests has one fault each in a manifest that is signed.
func (m *maker) manifests() {
	unsigned := m.unsigned(head(), build1)
	u, err := format.OpenUnverified(bytes.NewReader(unsigned), int64(len(unsigned)))
	m.must(err)
	manifest, err := format.EncodeManifest(u.Manifest)
	m.must(err)
	frames := unsigned[format.HeaderSize+len(manifest):]
	for _, v := range []struct{ name, expect, comment, old, new string }{
		{"manifest-white-space", "manifest", "a blank after a colon", `"id":`, `"id": `},
		{"manifest-final-newline", "manifest", "a newline at the end", `}]}`, "}]}\n"},
		{"manifest-order", "manifest", "version before id", `"id":"CVE-2024-0001","version":1`, `"version":1,"id":"CVE-2024-0001"`},
		{"manifest-unknown-member", "manifest", "a member that version 1 does not have", `"critical"`, `"more":1,"critical"`},
		{"manifest-member-twice", "manifest", "two versions", `"version":1`, `"version":1,"version":1`},
		{"manifest-member-case", "manifest", "Version for version", `"version"`, `"Version"`},
		{"manifest-member-missing", "manifest", "no description", `"description":"bounds check",`, ``},
		{"manifest-null", "manifest", "null for an empty list", `"replaces":[]`, `"replaces":null`},
		{"manifest-float", "manifest", "1.0 for 1", `"version":1`, `"version":1.0`},
		{"manifest-exponent", "manifest", "1e0 for 1", `"version":1`, `"version":1e0`},
		{"manifest-escape", "manifest", "a character that needs no escape", `bounds`, `\u0062ounds`},
		{"manifest-escaped-slash", "manifest", "a slash needs no escape", `bounds`, `\/`},
		{"manifest-control", "manifest", "U+000A in a string", `bounds`, `bounds\n`},
		{"manifest-bidi", "manifest", "U+202E turns what follows round", `bounds`, "bounds\u202e"},
		{"manifest-utf8", "manifest", "a byte that is not UTF-8", `bounds`, "bounds\xff"},
		{"manifest-id-empty", "manifest", "an ID of no characters", `CVE-2024-0001`, ``},
		{"manifest-id-dot", "manifest", "an ID that begins with a dot", `CVE-2024-0001`, `.CVE`},
		{"manifest-id-slash", "manifest", "an ID with a slash", `CVE-2024-0001`, `CVE/1`},
		{"manifest-id-long", "manifest", "an ID of 65 characters", `CVE-2024-0001`, strings.Repeat("x", 65)},
		{"manifest-version-zero", "manifest", "versions begin with 1", `"version":1`, `"version":0`},
		{"manifest-replaces-itself", "manifest", "its own ID", `"replaces":[]`, `"replaces":["CVE-2024-0001"]`},
		{"manifest-replaces-order", "manifest", "IDs do not ascend", `"replaces":[]`, `"replaces":["b","a"]`},
		{"manifest-build-id-case", "manifest", "upper-case hexadecimal", build1, "AAAAAAAA"},
		{"manifest-build-id-short", "manifest", "3 bytes", build1, "111111"},
		{"manifest-image-path", "manifest", "a path for a name", `"demod"`, `"/usr/bin/demod"`},
		{"manifest-payloads-sum", "manifest", "the sizes are not those of the header", `"packed_size":`, `"packed_size":1`},
		{"manifest-payload-size", "manifest", "a payload larger than allowed", `"size":`, `"size":99999`},
		{"manifest-expires-missing", "manifest", "no expires", `"expires":"",`, ``},
		{"manifest-expires-zero", "manifest", "1970 is written as no time at all", `"expires":""`, `"expires":"1970-01-01T00:00:00Z"`},
		{"manifest-expires-zone", "manifest", "UTC, but not as Z", `"expires":""`, `"expires":"2030-01-02T03:04:05+00:00"`},
		{"manifest-expires-lower-case", "manifest", "t and z", `"expires":""`, `"expires":"2030-01-02t03:04:05z"`},
		{"manifest-expires-fraction", "manifest", "a fraction of a second", `"expires":""`, `"expires":"2030-01-02T03:04:05.0Z"`},
		{"manifest-expires-day", "manifest", "30 February", `"expires":""`, `"expires":"2030-02-30T03:04:05Z"`},
		{"manifest-expires-leap-second", "manifest", "a 61st second", `"expires":""`, `"expires":"2016-12-31T23:59:60Z"`},
		{"manifest-expires-year", "manifest", "the year 10000", `"expires":""`, `"expires":"10000-01-01T00:00:00Z"`},
		{"manifest-expires-number", "manifest", "seconds since 1970", `"expires":""`, `"expires":1893553445`},
		{"manifest-critical-case", "manifest", "Critical is not critical, whatever it lists", `"critical":[]`, `"Critical":["threshold"]`},
		{"manifest-critical-not-strings", "manifest", "what is no list of strings lists no features", `"critical":[]`, `"critical":["threshold",1]`},
		{"manifest-critical-not-utf8", "manifest", "what is not UTF-8 is not JSON and lists no features", `bounds check","expires":"","critical":[]`, "bounds\xff\",\"expires\":\"\",\"critical\":[\"threshold\"]"},
		{"feature-unknown-twice", "feature", "the last of two members counts", `"critical":[]`, `"critical":[],"critical":["threshold"]`},
		{"feature-unknown", "feature", "a critical feature that this version does not have", `"critical":[]`, `"critical":["threshold"]`},
		{"feature-unknown-with-member", "feature", "what it needs is said before what is odd", `"critical":[]`, `"critical":["windows"],"windows":"night"`},
	} {
		if !strings.Contains(string(manifest), v.old) {
			m.t.Fatalf("%s: %q is not in the manifest", v.name, v.old)
		}
		text := strings.Replace(string(manifest), v.old, v.new, 1)
		m.add(v.name, v.expect, v.comment, m.signRaw(format.Assemble([]byte(text), frames, nil)))
	}
	two := m.unsigned(head(), build1, build2)
	u, err = format.OpenUnverified(bytes.NewReader(two), int64(len(two)))
	m.must(err)
	manifest, err = format.EncodeManifest(u.Manifest)
	m.must(err)
	frames = two[format.HeaderSize+len(manifest):]
	swapped := strings.NewReplacer(build1, build2, build2, build1).Replace(string(manifest))
	m.add("manifest-payloads-order", "manifest", "build-ids do not ascend", m.signRaw(format.Assemble([]byte(swapped), frames, nil)))
	twice := strings.Replace(string(manifest), build2, build1, 1)
	m.add("manifest-payload-twice", "manifest", "two payloads for one image", m.signRaw(format.Assemble([]byte(twice), frames, nil)))
}

// rawFrame is a zstd frame with one raw block, written by hand: descriptor with
// single segment and a content size of four bytes. change may edit the parts.
func rawFrame(data []byte, change func(head []byte) []byte) []byte {
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0}
	frame = binary.LittleEndian.AppendUint32(frame, uint32(len(data)))
	if change != nil {
		frame = change(frame)
	}
	block := uint32(len(data))<<3 | 1
	frame = append(frame, byte(block), byte(block>>8), byte(block>>16))
	return append(frame, data...)
}

// withFrame is a signed bundle of one payload, whose frame is given.
func (m *maker) withFrame(data, frame []byte) []byte {
	return m.withInfo(format.PayloadInfo{
		Image:  file(build1).Table.Image,
		Digest: format.Digest(data), Size: int64(len(data)),
		PackedDigest: format.Digest(frame), PackedSize: int64(len(frame)),
	}, frame)
}

func (m *maker) withInfo(info format.PayloadInfo, frame []byte) []byte {
	man := head()
	man.Payloads = []format.PayloadInfo{info}
	manifest, err := format.EncodeManifest(man)
	m.must(err)
	return m.signRaw(format.Assemble(manifest, frame, nil))
}

// frames has one fault each in a frame that the manifest names.
func (m *maker) frames() {
	data := m.payload(file(build1))
	frame, err := format.Pack(data)
	m.must(err)
	encode := func(opts ...zstd.EOption) []byte {
		enc, err := zstd.NewWriter(nil, append(opts, zstd.WithEncoderConcurrency(1))...)
		m.must(err)
		defer enc.Close()
		return enc.EncodeAll(data, nil)
	}
	skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}
	bomb := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 64} // says 64 bytes
	for range 50 {
		block := uint32(128<<10)<<3 | 1<<1 // 128 KiB of one byte, not the last
		bomb = append(bomb, byte(block), byte(block>>8), byte(block>>16), 'x')
	}
	bomb = append(bomb, 1, 0, 0)
	small := make([]byte, 64)
	for _, v := range []struct {
		name, comment string
		data          []byte
	}{
		{"frame-not-zstd", "bytes that are no frame", m.withFrame(data, []byte("not a frame"))},
		{"frame-cut-short", "the last byte is missing", m.withFrame(data, frame[:len(frame)-1])},
		{"frame-trailing-byte", "one byte behind the frame", m.withFrame(data, append(bytes.Clone(frame), 0))},
		{"frame-twice", "two frames", m.withFrame(data, append(bytes.Clone(frame), frame...))},
		{"frame-skippable-first", "a skippable frame before", m.withFrame(data, append(bytes.Clone(skippable), frame...))},
		{"frame-skippable-last", "a skippable frame behind", m.withFrame(data, append(bytes.Clone(frame), skippable...))},
		{"frame-checksum", "a frame with a checksum", m.withFrame(data, encode(zstd.WithSingleSegment(true), zstd.WithEncoderCRC(true)))},
		{"frame-window", "a frame that is not a single segment", m.withFrame(data, rawFrame(data, func(head []byte) []byte {
			return append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x58}, head[5:]...)
		}))},
		{"frame-dictionary", "a frame that needs a dictionary", m.withFrame(data, rawFrame(data, func(head []byte) []byte {
			return append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xa1, 7}, head[5:]...)
		}))},
		{"frame-content-size", "it says one byte more than it has", m.withFrame(data, rawFrame(data, func(head []byte) []byte {
			head[5]++
			return head
		}))},
		{"frame-bomb", "says 64 bytes and unfolds to 6.5 MB", m.withFrame(small, bomb)},
		{"frame-digest", "it unfolds to other bytes than the manifest says", m.withFrame(append(data[:len(data)-1:len(data)-1], 'x'), frame)},
		{"frame-packed-digest", "it is another frame than the manifest says", m.withInfo(format.PayloadInfo{
			Image: file(build1).Table.Image, Digest: format.Digest(data), Size: int64(len(data)),
			PackedDigest: format.Digest(data), PackedSize: int64(len(frame)),
		}, frame)},
	} {
		m.add(v.name, "decompress", v.comment, v.data)
	}
}

// bodies has one fault each in a payload that is signed and decompresses.
func (m *maker) bodies() {
	good := m.payload(file(build1))
	headers := int(binary.LittleEndian.Uint64(good[40:]))
	// Section headers: 1 .text.f, 2 .rela.text.f, 3 table, 4 .symtab, 5 .strtab, 6 .shstrtab.
	header := func(section, field int) int { return headers + 64*section + field }
	offset := func(section int) int { return int(binary.LittleEndian.Uint64(good[header(section, 24):])) }
	poke := func(at int, value ...byte) []byte {
		data := bytes.Clone(good)
		copy(data[at:], value)
		return data
	}
	table := func(old, new string) []byte {
		if len(old) != len(new) || !bytes.Contains(good, []byte(old)) {
			m.t.Fatalf("%q is not in the table, or %q is of another length", old, new)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	huge := bytes.Repeat([]byte{0xff}, 8)
	nobits := poke(header(1, 4), byte(elf.SHT_NOBITS))
	copy(nobits[header(1, 32):], huge)
	elsewhere := m.payload(file(build2))
	for _, v := range []struct {
		name, comment string
		data          []byte
	}{
		{"body-not-elf", "text", []byte("not an ELF file, but long enough to have a header if it were one, as this line shows")},
		{"body-cut-short", "the last byte is missing", good[:len(good)-1]},
		{"body-trailing-byte", "one byte behind the section headers", append(bytes.Clone(good), 0)},
		{"body-executable", "ET_EXEC for ET_REL", poke(16, byte(elf.ET_EXEC))},
		{"body-32-bit", "ELFCLASS32", poke(4, 1)},
		{"body-machine", "aarch64, but its table says amd64", poke(18, byte(elf.EM_AARCH64))},
		{"body-section-count", "65535 section headers", poke(60, 0xff, 0xff)},
		{"body-section-outside", "a section's offset beyond the file", poke(header(1, 24), huge...)},
		{"body-section-size", "a section's size beyond the file", poke(header(1, 32), huge...)},
		{"body-section-name", "a name outside of .shstrtab", poke(header(1, 0), 0xff, 0xff)},
		{"body-section-type", "SHT_INIT_ARRAY", poke(header(1, 4), byte(elf.SHT_INIT_ARRAY))},
		{"body-alignment", "an alignment of 3", poke(header(1, 48), 3)},
		{"body-alignment-zero", "an alignment of 0", poke(header(1, 48), 0)},
		{"body-writable-code", "SHF_WRITE and SHF_EXECINSTR", poke(header(1, 8), byte(elf.SHF_ALLOC|elf.SHF_WRITE|elf.SHF_EXECINSTR))},
		{"body-thread-local", "SHF_TLS", poke(header(1, 8), byte(elf.SHF_ALLOC|elf.SHF_EXECINSTR), byte(elf.SHF_TLS>>8))},
		{"body-nobits-huge", "SHT_NOBITS of 2^64-1 bytes", nobits},
		{"body-relocation-outside", "an offset at the section's end", poke(offset(2), 6)},
		{"body-relocation-symbol", "symbol 3 of 2", poke(offset(2)+12, 3)},
		{"body-relocation-target", "relocations of the table", poke(header(2, 44), 3)},
		{"body-symbol-section", "SHN_ABS", poke(offset(4)+24+6, 0xf1, 0xff)},
		{"body-symbol-outside", "a value beyond the section", poke(offset(4)+24+8, 7)},
		{"body-symbol-name", "a name that is not where it has to be", poke(offset(4)+24, 2)},
		{"body-symbol-ifunc", "STT_GNU_IFUNC", poke(offset(4)+24+4, byte(elf.STB_GLOBAL)<<4|byte(elf.STT_GNU_IFUNC))},
		{"body-symbols-null", "the null symbol is not null", poke(offset(4)+8, 1)},
		{"body-padding", "a byte that is not zero between sections", poke(offset(1)+6, 1)},
		{"body-table-white-space", "a blank for a digit", table(`"size":64`, `"size": 4`)},
		{"body-table-import-missing", "an undefined symbol that is not imported", table(`"symbol":"puts"`, `"symbol":"gets"`)},
		{"body-table-function-missing", "a function whose symbol is not defined", table(`"symbol":"f"`, `"symbol":"g"`)},
		{"body-table-address-form", "upper-case hexadecimal", table(`"0x1200"`, `"0x12A0"`)},
		{"body-table-room", "room larger than the function", table(`"room":64`, `"room":65`)},
		{"body-of-another-image", "its table names another build-id than the manifest", elsewhere},
	} {
		frame, err := format.Pack(v.data)
		m.must(err)
		m.add(v.name, "body", v.comment, m.withFrame(v.data, frame))
	}
	m.decodes(good)
}

// policies are bundles that are well-formed, for readers that want more than one
// signature or that look at the clock.
func (m *maker) policies() {
	unsigned := m.unsigned(head(), build1)
	both := m.sign(unsigned, m.key, m.other)
	third := fixedKey(m.t, 3)
	expires := head()
	expires.Expires = 1893553445 // 2030-01-02T03:04:05Z
	ending := m.sign(m.unsigned(expires, build1), m.key)
	for _, v := range []struct {
		name, expect, comment string
		data                  []byte
		threshold             int
		time                  string
	}{
		{"valid-threshold", "valid", "both trusted keys have signed", both, 2, ""},
		{"valid-threshold-stranger", "valid", "both trusted keys have signed, and one that is not trusted", m.sign(both, third), 2, ""},
		{"threshold-one-of-two", "signature", "one signature where two are needed", m.sign(unsigned, m.key), 2, ""},
		{"threshold-stranger", "signature", "the second signature is by a key that is not trusted", m.sign(unsigned, m.key, third), 2, ""},
		{"valid-expires", "valid", "it expires in the next second", ending, 1, "2030-01-02T03:04:04Z"},
		{"expired-now", "policy", "it expires in this second", ending, 1, "2030-01-02T03:04:05Z"},
		{"expired", "policy", "it expired a year ago", ending, 1, "2031-01-02T03:04:05Z"},
		{"expires-clock-unknown", "policy", "it expires, and the reader does not know the time", ending, 1, ""},
		{"expired-unsigned", "signature", "signatures are judged before time", m.unsigned(expires, build1), 1, "2031-01-02T03:04:05Z"},
	} {
		m.add(v.name, v.expect, v.comment, v.data)
		made := m.vectors[v.name]
		made.Threshold, made.Time = v.threshold, v.time
		if v.threshold > 1 {
			made.Keys = append(made.Keys, publicText(m.other))
		}
		m.vectors[v.name] = made
	}
}

// decodes makes sure that what the faults are put into has none.
func (m *maker) decodes(good []byte) {
	_, err := payload.Decode(good)
	m.must(err)
}
