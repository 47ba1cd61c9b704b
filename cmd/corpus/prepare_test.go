// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeTools are programs under the names of ours and of a cross compiler's.
func fakeTools(t *testing.T, build string) (bin, prefix string) {
	t.Helper()
	bin = t.TempDir()
	for name, body := range map[string]string{
		"ulpatch-build": build,
		"cross-strip":   `cp "$3" "$2"; echo stripped >>"$2"`, // -o TO FROM
		"cross-gcc":     `while [ "$1" != -o ]; do shift; done; echo host >"$2"`,
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\nset -e\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return bin, filepath.Join(bin, "cross-")
}

const makesBundle = `
case $1 in
keygen) echo key >"$3.key"; echo public >"$3.pub" ;;
diff) while [ "$1" != -o ]; do shift; done; echo bundle >"$2" ;;
esac`

const refusesBundle = `
case $1 in
keygen) echo key >"$3.key"; echo public >"$3.pub" ;;
diff) echo "ulpatch-build: error: a.o: f: odd [some-reason]" >&2; exit 3 ;;
esac`

// corpusOf makes a corpus of one case.
func corpusOf(t *testing.T, expected string) string {
	t.Helper()
	corpus := t.TempDir()
	for path, content := range map[string]string{
		"pairs/clang/cjson/CVE-1/orig/a.o":                  "",
		"pairs/clang/cjson/CVE-1/fixed/a.o":                 "",
		"pairs/clang/cjson/CVE-1/target/libcjson.so.1.7.15": "image\n",
		"pairs/clang/cjson/CVE-1/expected":                  expected + "\n",
	} {
		path = filepath.Join(corpus, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return corpus
}

func prepareOne(t *testing.T, build, expected string) (sum total, prepared string) {
	t.Helper()
	bin, prefix := fakeTools(t, build)
	prepared = t.TempDir()
	o := options{corpus: corpusOf(t, expected), bin: bin, cross: prefix, prepare: prepared, flavour: clang, parallel: 1, caseLimit: 1 << 40}
	sum, err := o.runAll(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return sum, prepared
}

func TestPrepareIsTakenOver(t *testing.T) {
	sum, prepared := prepareOne(t, makesBundle, "applied")
	if sum.built != 1 || sum.cases != 1 {
		t.Fatalf("totals: %+v", sum)
	}
	for path, want := range map[string]string{
		"ci.pub":                          "public\n",
		"hosts/host-cjson":                "host\n",
		"pairs/clang/cjson/CVE-1/fix.ulp": "bundle\n",
		"pairs/clang/cjson/CVE-1/target/libcjson.so.1.7.15": "image\nstripped\n",
	} {
		if got, err := os.ReadFile(filepath.Join(prepared, path)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}

	cases, err := findCases(filepath.Join(prepared, "pairs"), "all", "")
	if err != nil || len(cases) != 1 {
		t.Fatalf("%v, %v", cases, err)
	}
	c := cases[0]
	if c.String() != "clang/cjson/CVE-1" || !c.prepared() || c.expected != applied || len(c.images) != 1 {
		t.Errorf("case: %+v", c)
	}
	s, err := options{corpus: prepared}.shared(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if s.trust != filepath.Join(prepared, "ci.pub") || s.hosts != filepath.Join(prepared, "hosts") {
		t.Errorf("shared: %+v", s)
	}
	k := newCycle(s, c, applied)
	if err := k.haveBundle(context.Background()); err != nil || k.bundle != filepath.Join(c.dir, "fix.ulp") || k.result.Bytes != 7 {
		t.Errorf("bundle %q of %d bytes, %v", k.bundle, k.result.Bytes, err)
	}
}

func TestPreparedRefusalStays(t *testing.T) {
	for expected, want := range map[string]outcome{"refused": refused, "applied": failed, "busy": failed} {
		sum, prepared := prepareOne(t, refusesBundle, expected)
		if sum.refused+sum.failed != 1 || (sum.failed == 1) != (want == failed) {
			t.Errorf("expected %s: totals when preparing: %+v", expected, sum)
		}
		cases, err := findCases(filepath.Join(prepared, "pairs"), "all", "")
		if err != nil {
			t.Fatal(err)
		}
		r := run(context.Background(), &shared{scratch: t.TempDir()}, cases[0], false)
		if r.Outcome != want || r.Codes != "some-reason" || !strings.Contains(r.Reason, "odd") {
			t.Errorf("expected %s: %+v", expected, r)
		}
	}
}

func TestUnexpected(t *testing.T) {
	for _, test := range []struct{ got, expected, want outcome }{
		{applied, "", applied},
		{applied, applied, applied},
		{refused, applied, failed},
		{applied, refused, failed},
		{busy, busy, busy},
		{harm, refused, harm},
		{notRun, applied, failed},
	} {
		r := result{Outcome: test.got}
		if r.compare(test.expected); r.Outcome != test.want {
			t.Errorf("%s, expected %q: %s, want %s", test.got, test.expected, r.Outcome, test.want)
		}
	}
	corpus := corpusOf(t, "perhaps")
	if _, err := findCases(filepath.Join(corpus, "pairs"), "all", ""); err == nil {
		t.Error("an outcome that does not exist is expected")
	}
}
