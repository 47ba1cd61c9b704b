// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const (
	id1     = "1111111111111111111111111111111111111111"
	sha1of1 = "abababababababababababababababababababababababababababababababab"

	sampleManifest = `{"id":"CVE-1","version":1,"description":"a \"b\" \\ <é>","expires":"2030-01-02T03:04:05Z","critical":[],"replaces":["CVE-0"],"payloads":[` +
		`{"image":{"name":"demod","build_id":"` + id1 + `","machine":"amd64"},"digest":"` + sha1of1 +
		`","size":10,"packed_digest":"` + sha1of1 + `","packed_size":20}]}`

	sampleTable = `{"image":{"name":"demod","build_id":"` + id1 + `","machine":"amd64"},"functions":[` +
		`{"name":"parse","addr":"0x1200","size":64,"digest":"` + sha1of1 + `","room":60,"symbol":"parse","parts":[{"name":"parse.cold","addr":"0x1100","size":8}]},` +
		`{"name":"scan","addr":"0x1240","size":16,"digest":"` + sha1of1 + `","room":16,"symbol":"scan","parts":[]}],"imports":[` +
		`{"symbol":"a","kind":"image","addr":"0x4010"},` +
		`{"symbol":"b","kind":"dynamic","slot":"0x3fd8","name":"log","version":"V1","weak":true,"func":true},` +
		`{"symbol":"c","kind":"tls"},` +
		`{"symbol":"d","kind":"dynamic-tls","name":"errno","version":"GLIBC_PRIVATE"}],"quiet":[{"name":"caller","addr":"0x1300","size":32}]}`
)

func TestSamples(t *testing.T) {
	if _, err := DecodeManifest([]byte(sampleManifest)); err != nil {
		t.Error(err)
	}
	if _, err := DecodeTable([]byte(sampleTable)); err != nil {
		t.Error(err)
	}
}

// fault is one edit that makes a good text a bad one.
type fault struct{ old, new string }

func edit(t *testing.T, text string, f fault) []byte {
	t.Helper()
	if !strings.Contains(text, f.old) {
		t.Fatalf("%q is not in the sample", f.old)
	}
	return []byte(strings.Replace(text, f.old, f.new, 1))
}

// Faults in how a value is written; those that every canonical JSON has.
func canonicalFaults(text string) []fault {
	return []fault{
		{`{`, ` {`}, {`,"`, `, "`}, {`:[`, `: [`},
		{text, text + "\n"}, {text, text + text}, {text, text[:len(text)-1]}, {text, ""}, {text, "null"}, {text, "[]"},
		{`"name":"demod"`, `"Name":"demod"`},
		{`"name":"demod"`, `"name":"demod","name":"demod"`},
		{`"name":"demod"`, `"name":"demod","more":1`},
		{`"name":"demod"`, `"name":"dem\u006fd"`},
		{`"name":"demod"`, `"name":"demod\/"`},
		{`"name":"demod"`, `"name":null`},
		{`"name":"demod"`, `"name":7`},
		{`"name":"demod",`, ``},
		{`"name":"demod","build_id":"` + id1 + `"`, `"build_id":"` + id1 + `","name":"demod"`},
		{`demod`, "dem\xffd"}, {`demod`, "dem\ufffdd"}, {`demod`, "dem\u202ed"}, {`demod`, "dem\u200bd"},
		{`demod`, "dem\u2028d"}, {`demod`, "dem\u007fd"}, {`demod`, "dem\u0085d"}, {`demod`, "\ufeffdemod"}, {`demod`, `dem\nd`}, {`demod`, `dem\u0000d`},
		{`demod`, ``}, {`demod`, `a/b`}, {`demod`, `..`}, {`demod`, strings.Repeat("x", 256)},
		{`amd64`, ``}, {`amd64`, `AMD64`}, {`amd64`, strings.Repeat("x", 33)},
		{id1, id1 + "1"}, {id1, "11"}, {id1, strings.Repeat("A", 40)}, {id1, strings.Repeat("1", 130)}, {id1, strings.Repeat("g", 40)},
		{sha1of1, sha1of1[2:]}, {sha1of1, strings.ToUpper(sha1of1)}, {sha1of1, ""},
	}
}

func TestManifestFaults(t *testing.T) {
	info := sampleManifest[strings.Index(sampleManifest, `{"image"`) : len(sampleManifest)-2]
	faults := append(canonicalFaults(sampleManifest), []fault{
		{`"CVE-1"`, `""`}, {`"CVE-1"`, `".CVE"`}, {`"CVE-1"`, `"-CVE"`}, {`"CVE-1"`, `"CVE 1"`}, {`"CVE-1"`, `"CVE/1"`}, {`"CVE-1"`, `"é"`},
		{`"CVE-1"`, `"` + strings.Repeat("x", 65) + `"`},
		{`"version":1`, `"version":0`}, {`"version":1`, `"version":-1`}, {`"version":1`, `"version":01`}, {`"version":1`, `"version":1.0`},
		{`"version":1`, `"version":1e0`}, {`"version":1`, `"version":"1"`}, {`"version":1`, `"version":2147483648`}, {`"version":1`, `"version":99999999999999999999`},
		{`<é>`, `\u003cé>`}, {`<é>`, strings.Repeat("x", 4100)},
		{`05Z"`, `05z"`}, {`05Z"`, `05.0Z"`}, {`05Z"`, `05+00:00"`}, {`05Z"`, `05"`}, {`05Z"`, `60Z"`}, {`"2030-01`, `"12030-01`}, {`"2030-01`, `"2030-13`},
		{`"2030-01-02T03:04:05Z"`, `"1970-01-01T00:00:00Z"`}, {`"2030-01-02T03:04:05Z"`, `"0000-01-01T00:00:00Z"`}, {`"2030-01-02T03:04:05Z"`, `1`}, {`"2030-01-02T03:04:05Z"`, `null`},
		{`"expires":"2030-01-02T03:04:05Z",`, ``},
		{`"critical":[]`, `"critical":null`}, {`"critical":[]`, `"critical":["Odd Name"]`}, {`"critical":[]`, `"critical":[1]`},
		{`"CVE-0"`, `"CVE-1"`}, {`"CVE-0"`, `"CVE-0","CVE-0"`}, {`"CVE-0"`, `"b","a"`}, {`"CVE-0"`, `""`}, {`["CVE-0"]`, `null`},
		{`"size":10`, `"size":0`}, {`"size":10`, fmt.Sprintf(`"size":%d`, MaxPayloadSize+1)},
		{`"packed_size":20`, `"packed_size":0`}, {`"packed_size":20`, fmt.Sprintf(`"packed_size":%d`, MaxPacked+1)}, {`"packed_size":20`, `"packed_size":-20`},
		{`[` + info + `]`, `[]`}, {`[` + info + `]`, `null`}, {info, info + `,` + info},
		{info, strings.Replace(info, id1, strings.Repeat("2", 40), 1) + `,` + info},
	}...)
	for _, f := range faults {
		data := edit(t, sampleManifest, f)
		if _, err := DecodeManifest(data); !errors.Is(err, ErrManifest) {
			t.Errorf("%q -> %q: %v", f.old, f.new, err)
		}
	}
	large := edit(t, sampleManifest, fault{`"critical":[]`, `"critical":["` + strings.Repeat("x", MaxManifestSize) + `"]`})
	if _, err := DecodeManifest(large); !errors.Is(err, ErrManifest) {
		t.Errorf("too large: %v", err)
	}
}

// A feature that is not known is named, whatever else a newer version changed.
func TestUnknownFeature(t *testing.T) {
	for _, f := range []fault{
		{`"critical":[]`, `"critical":["threshold"]`},
		{`"critical":[]`, `"critical":["threshold"],"of":17`},
	} {
		if _, err := DecodeManifest(edit(t, sampleManifest, f)); !errors.Is(err, ErrFeature) || errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), "threshold") {
			t.Errorf("%v", err)
		}
	}
}

func TestTableFaults(t *testing.T) {
	faults := append(canonicalFaults(sampleTable), []fault{
		{`"addr":"0x1200"`, `"addr":"0x01200"`}, {`"addr":"0x1200"`, `"addr":"0X1200"`}, {`"addr":"0x1200"`, `"addr":"0x"`}, {`"addr":"0x1200"`, `"addr":4608`},
		{`"addr":"0x1200"`, `"addr":"1200"`}, {`"addr":"0x1200"`, `"addr":"0x0"`}, {`"addr":"0x1300"`, `"addr":"0x130G"`}, {`"addr":"0x1300"`, `"addr":"0x1_300"`},
		{`"addr":"0x1300"`, `"addr":"0x10000000000000000"`}, {`"addr":"0x1300"`, `"addr":"0xffffffffffffffff"`}, {`"addr":"0x4010"`, `"addr":"0xABC"`},
		{`"addr":"0x1240"`, `"addr":"0x123f"`}, {`"addr":"0x1240"`, `"addr":"0x1200"`}, {`"addr":"0x1240"`, `"addr":"0x100"`},
		{`"size":64`, `"size":0`}, {`"size":64`, `"size":65`}, {`"size":32`, `"size":18446744073709551615`}, {`"size":32`, `"size":-1`},
		{`"room":60`, `"room":0`}, {`"room":60`, `"room":65`},
		{`"symbol":"parse"`, `"symbol":""`}, {`"parts":[]`, `"parts":null`}, {`"parts":[]`, `"parts":[{"name":"x","addr":"0x1","size":0}]`},
		{`"symbol":"b"`, `"symbol":"a"`}, {`"symbol":"a"`, `"symbol":"x"`},
		{`"kind":"image"`, `"kind":"absolute"`}, {`"kind":"image","addr":"0x4010"`, `"kind":"image"`}, {`"kind":"image","addr":"0x4010"`, `"kind":"image","addr":"0x4010","name":"x"`},
		{`"kind":"image","addr":"0x4010"`, `"kind":"image","addr":"0x4010","weak":true`}, {`"kind":"image","addr":"0x4010"`, `"kind":"image","addr":"0x4010","func":false`},
		{`"kind":"dynamic","slot"`, `"kind":"dynamic","addr":"0x1","slot"`}, {`"name":"log",`, ``}, {`"kind":"tls"`, `"kind":"tls","func":true`}, {`"kind":"tls"`, `"kind":"tls","addr":"0x0"`},
		{`"kind":"dynamic-tls"`, `"kind":"dynamic-tls","slot":"0x8"`},
		{`"quiet":[`, `"quiet":[{"name":"z","addr":"0x2000","size":1},`}, {`"name":"caller"`, `"name":""`},
	}...)
	start, end := strings.Index(sampleTable, `[`), strings.Index(sampleTable, `,"imports"`)
	faults = append(faults, fault{sampleTable[start:end], `[]`}, fault{sampleTable[start:end], `null`})
	for _, f := range faults {
		if _, err := DecodeTable(edit(t, sampleTable, f)); err == nil {
			t.Errorf("%q -> %q: accepted", f.old, f.new)
		}
	}
}

func TestHex(t *testing.T) {
	for _, v := range []Hex{0, 1, 0x1f, 1<<64 - 1} {
		text, _ := v.MarshalText()
		var got Hex
		if err := got.UnmarshalText(text); err != nil || got != v {
			t.Errorf("%d: %s: %d, %v", v, text, got, err)
		}
	}
	if got := Hex(31).String(); got != "0x1f" {
		t.Errorf("31 is %s", got)
	}
}

func TestTime(t *testing.T) {
	for text, want := range map[string]Time{
		"": 0, "1970-01-01T00:00:01Z": 1, "2024-02-29T00:00:00Z": 1709164800, "9999-12-31T23:59:59Z": maxTime,
	} {
		var got Time
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
		if again, err := want.MarshalText(); err != nil || string(again) != text {
			t.Errorf("%d: %q, %v", want, again, err)
		}
	}
	for _, bad := range []string{"1970-01-01T00:00:00Z", "2024-02-29T00:00:00.0Z", "2024-02-29T00:00:00,5Z", "2023-02-29T00:00:00Z",
		"2024-02-29T24:00:00Z", "2024-02-29T00:00:60Z", "2024-2-29T00:00:00Z", "2024-02-29 00:00:00Z", "2024-02-29T00:00:00", "x"} {
		var got Time
		if err := got.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q: %d", bad, got)
		}
	}
	for _, bad := range []Time{-1, maxTime + 1} {
		if text, err := bad.MarshalText(); err == nil {
			t.Errorf("%d: %s", bad, text)
		}
		if _, err := EncodeManifest(Manifest{Expires: bad}); !errors.Is(err, ErrManifest) {
			t.Errorf("%d: %v", bad, err)
		}
	}
}
