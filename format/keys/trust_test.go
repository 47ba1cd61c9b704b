// SPDX-License-Identifier: GPL-2.0-or-later

package keys

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/format"
)

// trustDir is a directory with a.pub, b.pub and further files; a file
// NAME.revoked is signed by the tool minisign with the key that signer names.
func trustDir(t *testing.T, a, b format.PrivateKey, signer string, files map[string]string) string {
	t.Helper()
	dir, secrets := t.TempDir(), t.TempDir()
	for name, key := range map[string]format.PrivateKey{"a": a, "b": b} {
		public, err := EncodePublic(Public(key))
		if err != nil {
			t.Fatal(err)
		}
		secret, err := EncodeSecret(key, "")
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name+".pub"), public, 0o644)
		write(t, filepath.Join(secrets, name), secret, 0o600)
	}
	for name, text := range files {
		path := write(t, filepath.Join(dir, name), []byte(text), 0o644)
		if strings.HasSuffix(name, listSuffix) && signer != "" {
			run(t, "minisign", "-S", "-W", "-s", filepath.Join(secrets, signer), "-m", path)
		}
	}
	return dir
}

const revokeNothing = "format = \"ulpatch-revoked-1\"\nissued = 2026-02-01T00:00:00Z\n"

func TestTrustDirectory(t *testing.T) {
	a, b := generate(t), generate(t)
	idA := format.KeyID(a.ID())
	one, err := format.Sign(unsigned(t), a)
	if err != nil {
		t.Fatal(err)
	}
	two, err := format.Sign(one, b)
	if err != nil {
		t.Fatal(err)
	}
	revokeA := revokeNothing + "[[key]]\nid = \"" + idA + "\"\nreason = \"stolen\"\n"
	revokeBundle := revokeNothing + "[[bundle]]\nid = \"CVE-1\"\nthrough = 1\nreason = \"crashes\"\n"
	rule := "\n[keys.a]\n"
	for name, c := range map[string]struct {
		bundle []byte
		signer string
		files  map[string]string
		want   string // part of the error; "" is accepted
	}{
		"no policy":              {one, "", nil, ""},
		"threshold":              {two, "", map[string]string{"policy.toml": "threshold = 2"}, ""},
		"threshold not met":      {one, "", map[string]string{"policy.toml": "threshold = 2"}, "1 of 2 signatures that are needed"},
		"threshold beyond keys":  {two, "", map[string]string{"policy.toml": "threshold = 3"}, "threshold 3, of 2 keys: nothing could be accepted"},
		"rule":                   {one, "", map[string]string{"policy.toml": rule + `ids = ["CVE-*"]`}, ""},
		"rule forbids":           {one, "", map[string]string{"policy.toml": rule + `ids = ["x"]`}, "(a.pub) may not sign CVE-1"},
		"rule ends":              {one, "", map[string]string{"policy.toml": rule + "not_after = 2026-01-01T00:00:00Z"}, "(a.pub) counts until 2026-01-01T00:00:00Z, and it is"},
		"rule does not end yet":  {one, "", map[string]string{"policy.toml": rule + "not_after = 2099-01-01T00:00:00Z"}, ""},
		"rule of nobody":         {one, "", map[string]string{"policy.toml": "\n[keys.c]\n"}, "policy.toml:2: there is no "},
		"fault":                  {one, "", map[string]string{"policy.toml": "threshold = 2\ntreshold = 2"}, `policy.toml:2: unknown key "treshold"`},
		"other policy":           {one, "", map[string]string{"Policy.toml": ""}, "Policy.toml: not policy.toml"},
		"other policy, capitals": {one, "", map[string]string{"policy.TOML": ""}, "not policy.toml"},
		"other files":            {one, "", map[string]string{"README": "x", ".policy.toml.swp": "x", ".x.toml": "x"}, ""},
		"a key revoked":          {one, "b", map[string]string{"x.revoked": revokeA}, "(a.pub) is revoked: stolen"},
		"a key revoked itself":   {one, "a", map[string]string{"x.revoked": revokeA}, "(a.pub) is revoked: stolen"},
		"a key revoked, another": {two, "b", map[string]string{"x.revoked": revokeA}, ""},
		"a bundle revoked":       {two, "a", map[string]string{"x.revoked": revokeBundle}, "CVE-1 version 1 is revoked: crashes"},
		"two lists":              {two, "a", map[string]string{"x.revoked": revokeNothing, "y.revoked": revokeBundle}, "is revoked: crashes"},
		"expired list":           {one, "b", map[string]string{"x.revoked": "expires = 2026-02-02T00:00:00Z\n" + revokeA}, "is revoked"},
		"list not signed":        {one, "", map[string]string{"x.revoked": revokeA}, "x.revoked.minisig is missing"},
		"list without its text":  {one, "", map[string]string{"x.revoked.minisig": "x"}, "the list that it signs is missing"},
		"list, no signature":     {one, "", map[string]string{"x.revoked": revokeA, "x.revoked.minisig": "x"}, "x.revoked: minisign: invalid signature"},
		"list by who may not":    {one, "a", map[string]string{"x.revoked": revokeNothing, "policy.toml": rule + "revokes = false"}, "x.revoked: signed by key " + idA + ", which may not revoke"},
		"list by an old key":     {one, "b", map[string]string{"x.revoked": revokeA, "policy.toml": "[keys.b]\nnot_after = 2026-01-01T00:00:00Z"}, "is revoked: stolen"},
		"list with a fault":      {one, "b", map[string]string{"x.revoked": revokeNothing + "key = 1\n"}, "x.revoked:3: "},
		"fresh, no list":         {one, "", map[string]string{"policy.toml": `revocations = "fresh"`}, "and of the 0 that are there none expires after"},
		"fresh, without end":     {one, "a", map[string]string{"policy.toml": `revocations = "fresh"`, "x.revoked": revokeNothing}, "of the 1 that are there"},
		"fresh, expired":         {one, "a", map[string]string{"policy.toml": `revocations = "fresh"`, "x.revoked": revokeNothing + "expires = 2026-02-02T00:00:00Z\n"}, "of the 1 that are there"},
		"fresh":                  {one, "a", map[string]string{"policy.toml": `revocations = "fresh"`, "x.revoked": revokeNothing + "expires = 2099-02-02T00:00:00Z\n"}, ""},
		"issued in the future":   {one, "a", map[string]string{"x.revoked": "format = \"ulpatch-revoked-1\"\nissued = 2099-01-01T00:00:00Z\n"}, ""},
		"the clock is behind it": {one, "b", map[string]string{"x.revoked": "format = \"ulpatch-revoked-1\"\nissued = 2099-01-01T00:00:00Z\n", "policy.toml": rule + "not_after = 2100-01-01T00:00:00Z"}, "the clock is wrong: it says 20"},
		"fresh, clock behind":    {one, "b", map[string]string{"x.revoked": "format = \"ulpatch-revoked-1\"\nissued = 2099-01-01T00:00:00Z\n", "policy.toml": `revocations = "fresh"`}, "wants a fresh list of what is revoked, and the clock is wrong"},
	} {
		dir := trustDir(t, a, b, c.signer, c.files)
		trust, err := LoadTrust(dir)
		if err == nil {
			_, err = format.Open(bytes.NewReader(c.bundle), int64(len(c.bundle)), trust)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
}

func TestTrustDirectoryGuards(t *testing.T) {
	a, b := generate(t), generate(t)
	for _, name := range []string{"policy.toml", "x.revoked", "x.revoked.minisig"} {
		dir := trustDir(t, a, b, "a", map[string]string{"policy.toml": "", "x.revoked": revokeNothing})
		if _, err := LoadTrust(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), 0o646); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadTrust(dir); err == nil || !strings.Contains(err.Error(), name+": everybody may write it") {
			t.Errorf("%s, that everybody may write: %v", name, err)
		}
	}
	dir := trustDir(t, a, b, "", nil)
	write(t, filepath.Join(dir, "policy.toml"), bytes.Repeat([]byte("#"), 70000), 0o644)
	if _, err := LoadTrust(dir); err == nil || !strings.Contains(err.Error(), "policy.toml: more than 65536 bytes") {
		t.Errorf("a large policy: %v", err)
	}
}

// One key under two names would make two signatures of one.
func TestKeyTwice(t *testing.T) {
	a, b := generate(t), generate(t)
	dir := trustDir(t, a, b, "", nil)
	public, err := EncodePublic(Public(a))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "c.pub"), public, 0o644)
	if _, err := LoadTrust(dir); err == nil || !strings.Contains(err.Error(), "a.pub and c.pub are the same key") {
		t.Errorf("a key twice: %v", err)
	}
	relabelled, err := Import(rawKey(Public(a)), 7)
	if err != nil || !bytes.Equal(rawKey(relabelled), rawKey(Public(a))) || relabelled.ID() != 7 {
		t.Fatalf("%v, %v", relabelled, err)
	}
	if public, err = EncodePublic(relabelled); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "c.pub"), public, 0o644)
	if _, err := LoadTrust(dir); err == nil || !strings.Contains(err.Error(), "are the same key") {
		t.Errorf("a key with another ID: %v", err)
	}
}

func TestClock(t *testing.T) {
	year := func(y int) func() time.Time {
		return func() time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC) }
	}
	for name, c := range map[string]struct {
		clock clock
		want  string
	}{
		"believed":      {clock{after: epoch, why: whyEpoch, wall: year(2026)}, ""},
		"1970":          {clock{after: epoch, why: whyEpoch, wall: year(1970)}, "the clock is wrong: it says 1970-01-01T00:00:00Z, which is before 2026-01-01T00:00:00Z, when this program was written"},
		"before it":     {clock{after: epoch, why: whyEpoch, wall: year(2025)}, "the clock is wrong"},
		"before a list": {clock{after: epoch.AddDate(2, 0, 0), why: "when x was issued", wall: year(2027)}, "before 2028-01-01T00:00:00Z, when x was issued"},
	} {
		now, err := c.clock.now()
		if c.want == "" && (err != nil || !now.Equal(c.clock.wall())) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, %v", name, now, err)
		}
	}
	if err := kernelSays(unix.Timex{}, 0, nil); err != nil {
		t.Error(err)
	}
	if err := kernelSays(unix.Timex{}, timeError, nil); err == nil {
		t.Error("an error of the clock")
	}
	if err := kernelSays(unix.Timex{Status: unix.STA_UNSYNC}, 0, nil); err == nil || !strings.Contains(err.Error(), "not synchronised") {
		t.Errorf("not synchronised: %v", err)
	}
	if err := kernelSays(unix.Timex{}, -1, unix.ENOSYS); !errors.Is(err, unix.ENOSYS) {
		t.Errorf("no system call: %v", err)
	}
	want := synchronised()
	_, got := clock{after: epoch, why: whyEpoch, synchronised: true, wall: year(2030)}.now()
	if (got == nil) != (want == nil) {
		t.Errorf("a clock that has to be synchronised: %v, the kernel says %v", got, want)
	}
}
