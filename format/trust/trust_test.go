// SPDX-License-Identifier: GPL-2.0-or-later

package trust

import (
	"bytes"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"aead.dev/minisign"

	"github.com/ulpatch/ulpatch/format"
)

const samplePolicy = `# who may do what
threshold = 2
clock = "synchronised"
revocations = "fresh"

[keys.ci]
ids = ["CVE-*"]
images = ["nginx", "libssl.so.[0-9]"]
build_ids = ["0123456789abcdef"]
not_after = 2030-01-02T03:04:05Z
revokes = false

[keys."release 2"]
ids = []
`

const sampleList = `format = "ulpatch-revoked-1"
issued = 2026-01-02T00:00:00+01:00
expires = 2026-04-01T00:00:00Z

[[key]]
id = "0123456789ABCDEF"
reason = "laptop stolen"

[[bundle]]
id = "CVE-2026-1"
through = 3
reason = "crashes"

[[bundle]]
payload = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
reason = "wrong compiler"
`

func TestPolicy(t *testing.T) {
	p, err := ParsePolicy("policy.toml", []byte(samplePolicy))
	if err != nil {
		t.Fatal(err)
	}
	want := &Policy{Threshold: 2, Synchronised: true, Fresh: true, Keys: map[string]Rule{
		"ci": {NotAfter: 1893553445, IDs: []string{"CVE-*"}, Images: []string{"nginx", "libssl.so.[0-9]"},
			BuildIDs: []string{"0123456789abcdef"}, Line: 6},
		"release 2": {IDs: []string{}, Revokes: true, Line: 13},
	}}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("%+v, expected %+v", p, want)
	}
	if r := p.Rule("other"); !reflect.DeepEqual(r, Rule{Revokes: true}) {
		t.Errorf("a key without a rule: %+v", r)
	}
	empty, err := ParsePolicy("policy.toml", nil)
	if err != nil || empty.Threshold != 1 || empty.Synchronised || empty.Fresh {
		t.Errorf("an empty policy: %+v, %v", empty, err)
	}
	if !reflect.DeepEqual(Default().Rule("x"), Rule{Revokes: true}) {
		t.Error("the default policy has rules")
	}
}

// The examples of the specification are what they say they are.
func TestSpecification(t *testing.T) {
	spec, err := os.ReadFile("../../specs/trust.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples [][]byte
	for _, part := range bytes.Split(spec, []byte("```toml\n"))[1:] {
		text, _, _ := bytes.Cut(part, []byte("```"))
		examples = append(examples, text)
	}
	if len(examples) != 2 {
		t.Fatalf("%d examples, expected a policy and a list", len(examples))
	}
	p, err := ParsePolicy("policy.toml", examples[0])
	if err != nil || p.Threshold != 2 || len(p.Keys) != 2 || p.Rule("ci").Revokes || !p.Rule("release").Revokes {
		t.Errorf("%+v, %v", p, err)
	}
	l, err := ParseList("list", examples[1])
	if err != nil || len(l.Revoked.Keys) != 1 || len(l.Revoked.Bundles) != 2 {
		t.Errorf("%+v, %v", l, err)
	}
}

// faults are edits of a text, each with what the error has to begin with.
func faults(t *testing.T, text string, parse func([]byte) error, list [][3]string) {
	t.Helper()
	for _, f := range list {
		if !strings.Contains(text, f[0]) {
			t.Fatalf("%q is not in the sample", f[0])
		}
		err := parse([]byte(strings.Replace(text, f[0], f[1], 1)))
		if err == nil || !strings.HasPrefix(err.Error(), f[2]) {
			t.Errorf("%q -> %q: %v, expected %s...", f[0], f[1], err, f[2])
		}
	}
}

func TestPolicyFaults(t *testing.T) {
	parse := func(data []byte) error {
		p, err := ParsePolicy("p", data)
		if (err == nil) != (p != nil) {
			t.Errorf("result %v with error %v", p, err)
		}
		return err
	}
	faults(t, samplePolicy, parse, [][3]string{
		{"threshold = 2", "threshold = 0", "p:2: threshold 0: not between 1 and 16"},
		{"threshold = 2", "threshold = -1", "p:2: threshold -1"},
		{"threshold = 2", "threshold = 17", "p:2: threshold 17"},
		{"threshold = 2", "threshold = \"2\"", "p:2: "},
		{"threshold = 2", "threshold = 1.5", "p:2: "},
		{"threshold = 2", "Threshold = 2", `p:2: unknown key "Threshold"`},
		{"threshold = 2", "threshold = 1\nTHRESHOLD = 2", `p:3: unknown key "THRESHOLD"`},
		{"threshold = 2", "treshold = 2", `p:2: unknown key "treshold"`},
		{"threshold = 2", "threshold = 1\nthreshold = 2", "p:3: "},
		{"threshold = 2", "threshold =", "p:2: "},
		{`"synchronised"`, `"good"`, `p:3: clock "good": neither "plausible" nor "synchronised"`},
		{`"fresh"`, `""`, `p:4: revocations "": neither`},
		{"[keys.ci]", "[key.ci]", `p:6: unknown key "key`},
		{"[keys.ci]", "[keys.ci.more]", `p:`},
		{"[keys.ci]", "[keys]\nci = 1\n[x]", `p:`},
		{"ids = [\"CVE-*\"]", "id = [\"CVE-*\"]", `p:7: unknown key "keys.ci.id"`},
		{"ids = [\"CVE-*\"]", "IDs = [\"CVE-*\"]", `p:7: unknown key "keys.ci.IDs"`},
		{"ids = [\"CVE-*\"]", "ids = \"CVE-*\"", `p:7: `},
		{"ids = [\"CVE-*\"]", "ids = [1]", `p:7: `},
		{"CVE-*", "CVE-[", `p:7: ids: "CVE-[": syntax error in pattern`},
		{"CVE-*", "", `p:7: ids: an empty pattern`},
		{"libssl.so.[0-9]", "libssl.so.[]", `p:8: images: `},
		{"0123456789abcdef", "0123456789ABCDEF", `p:9: build_ids: build-id "0123456789ABCDEF": not lower-case hexadecimal`},
		{"0123456789abcdef", "012345", `p:9: build_ids: `},
		{"0123456789abcdef", "0123456789abcde", `p:9: build_ids: `},
		{"05Z", "05", `p:10: `},
		{"2030-01-02T03:04:05Z", "2030-01-02", `p:10: `},
		{"2030-01-02T03:04:05Z", "1893553445", `p:10: `},
		{"2030-01-02T03:04:05Z", "1960-01-02T03:04:05Z", `p:10: `},
		{"05Z", "05.5Z", `p:10: `},
		{"revokes = false", "revokes = 0", `p:11: `},
		{`[keys."release 2"]`, `[keys."release 2"]` + "\n" + `more = 1`, `p:14: unknown key "keys.\"release 2\".more"`},
		{`[keys."release 2"]`, `[keys.ci]`, `p:13: `},
		{`["nginx", `, `["` + strings.Repeat("x", 1024) + `", `, `p:8: a line of `},
		{`ids = []`, strings.Repeat("{\n", 257), `p: 257 inline tables, more than 256`},
	})
	if err := parse(bytes.Repeat([]byte("#"), MaxPolicy+1)); err == nil {
		t.Error("a policy that is too large")
	}
	if p, err := ParsePolicy("p", []byte(`keys = { ci = { revokes = false } }`)); err != nil || p.Keys["ci"].Revokes {
		t.Errorf("inline tables: %v, %v", p, err)
	}
	if err := parse([]byte("threshold = 1 \xff")); err == nil {
		t.Error("not UTF-8")
	}
}

func TestList(t *testing.T) {
	l, err := ParseList("l", []byte(sampleList))
	if err != nil {
		t.Fatal(err)
	}
	want := &List{Issued: 1767308400, Expires: 1775001600, Revoked: format.Revoked{
		Keys: []format.RevokedKey{{ID: "0123456789ABCDEF", Reason: "laptop stolen"}},
		Bundles: []format.RevokedBundle{
			{ID: "CVE-2026-1", Through: 3, Reason: "crashes"},
			{Payload: strings.Repeat("a", 64), Reason: "wrong compiler"},
		},
	}}
	if !reflect.DeepEqual(l, want) {
		t.Errorf("%+v, expected %+v", l, want)
	}
	none, err := ParseList("l", []byte("format = \"ulpatch-revoked-1\"\nissued = 2026-01-02T00:00:00Z\n"))
	if err != nil || none.Expires != 0 || len(none.Revoked.Keys) > 0 {
		t.Errorf("a list of nothing: %+v, %v", none, err)
	}
}

func TestListFaults(t *testing.T) {
	parse := func(data []byte) error { _, err := ParseList("l", data); return err }
	faults(t, sampleList, parse, [][3]string{
		{"revoked-1", "revoked-2", `l:1: format "ulpatch-revoked-2": not "ulpatch-revoked-1"`},
		{`format = "ulpatch-revoked-1"`, "", `l:1: format ""`},
		{"issued", "isued", `l:2: unknown key "isued"`},
		{"issued = 2026-01-02T00:00:00+01:00", "", `l:1: issued is missing`},
		{"+01:00", "", `l:2: `},
		{"2026-04-01", "2026-01-01", `l:3: expires 2026-01-01T00:00:00Z: not after`},
		{"0123456789ABCDEF", "0123456789abcdef", `l:6: key "0123456789abcdef"`},
		{"0123456789ABCDEF", "0123456789ABCDE", `l:6: `},
		{`reason = "laptop stolen"`, ``, `l:5: key 0123456789ABCDEF: reason is missing`},
		{"laptop stolen", `a\nb`, `l:7: key 0123456789ABCDEF: reason: byte 1`},
		{"laptop stolen", strings.Repeat("x", 257), `l:7: `},
		{`id = "CVE-2026-1"`, `id = "../x"`, `l:10: bundle: id "../x"`},
		{`id = "CVE-2026-1"`, ``, `l:9: bundle: neither id nor payload`},
		{"through = 3", "through = 0", `l:11: through 0: not between`},
		{"through = 3", "through = 2147483648", `l:11: `},
		{"through = 3", "throuh = 3", `l:11: unknown key "bundle.throuh"`},
		{"payload =", "through = 3\npayload =", `l:15: bundle: through is of no use without id`},
		{"aaaaaaaa", "AAAAAAAA", `l:15: bundle: payload`},
		{"aaaaaaaa", "", `l:15: bundle: payload`},
		{"wrong compiler", "", `l:16: bundle: reason is missing`},
		{"[[bundle]]", "[bundle]", `l:`},
	})
}

func seeded(t *testing.T, seed byte) (format.PublicKey, format.PrivateKey) {
	t.Helper()
	public, private, err := minisign.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func TestVerifyList(t *testing.T) {
	a, secret := seeded(t, 1)
	b, _ := seeded(t, 2)
	r := minisign.NewReader(strings.NewReader(sampleList))
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Fatal(err)
	}
	signature := r.Sign(secret)
	text := []byte(sampleList)
	if id, err := VerifyList(text, signature, []format.PublicKey{b, a}); err != nil || id != format.KeyID(a.ID()) {
		t.Errorf("%s, %v", id, err)
	}
	for name, c := range map[string]struct {
		text, signature []byte
		keys            []format.PublicKey
		want            string
	}{
		"another key":  {text, signature, []format.PublicKey{b}, "which may not revoke"},
		"no key":       {text, signature, nil, "which may not revoke"},
		"another text": {append([]byte("#"), text...), signature, []format.PublicKey{a}, "is invalid"},
		"not hashed":   {text, minisign.Sign(secret, text), []format.PublicKey{a}, "prehashed"},
		"no signature": {text, nil, []format.PublicKey{a}, "invalid signature"},
	} {
		if id, err := VerifyList(c.text, c.signature, c.keys); id != "" || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
}

// FuzzPolicy: a policy or list, or an error that tells the line; never both.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte(samplePolicy))
	f.Add([]byte(sampleList))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePolicy("p", data)
		if (p == nil) != (err != nil) {
			t.Fatalf("result %v with error %v", p, err)
		}
		if p != nil && (p.Threshold < 1 || p.Threshold > format.MaxSignatures) {
			t.Fatalf("threshold %d", p.Threshold)
		}
		l, err := ParseList("l", data)
		if (l == nil) != (err != nil) {
			t.Fatalf("result %v with error %v", l, err)
		}
		if l == nil {
			return
		}
		for _, b := range l.Revoked.Bundles {
			if b.ID == "" && b.Payload == "" || b.Through < 0 {
				t.Fatalf("an entry that names nothing: %+v", b)
			}
		}
	})
}
