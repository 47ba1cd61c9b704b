// SPDX-License-Identifier: GPL-2.0-or-later

package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/hint"
)

func generate(t *testing.T) format.PrivateKey {
	t.Helper()
	key, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t *testing.T, path string, data []byte, mode fs.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

// pair writes a key pair and returns the paths.
func pair(t *testing.T, dir string, key format.PrivateKey, password string) (secret, public string) {
	t.Helper()
	text, err := EncodeSecret(key, password)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := EncodePublic(Public(key))
	if err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(dir, "k.key"), text, 0o600), write(t, filepath.Join(dir, "k.pub"), pub, 0o644)
}

func password(word string) func() (string, error) {
	return func() (string, error) { return word, nil }
}

func TestSecret(t *testing.T) {
	key := generate(t)
	plain, _ := pair(t, t.TempDir(), key, "")
	if got, err := ReadSecret(plain, nil); err != nil || !got.Equal(key) {
		t.Errorf("plain: %v", err)
	}
	locked, _ := pair(t, t.TempDir(), key, "hunter2")
	if got, err := ReadSecret(locked, password("hunter2")); err != nil || !got.Equal(key) {
		t.Errorf("encrypted: %v", err)
	}
	if _, err := ReadSecret(locked, password("hunter3")); err == nil || !strings.Contains(err.Error(), "wrong password") {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := ReadSecret(locked, nil); err == nil {
		t.Error("no password")
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o660, 0o644} {
		if err := os.Chmod(plain, mode); err != nil {
			t.Fatal(err)
		}
		_, err := ReadSecret(plain, nil)
		if err == nil || len(hint.Of(err)) != 1 || hint.Of(err)[0] != "chmod 600 "+plain {
			t.Errorf("mode %o: %v, hints %q", mode, err, hint.Of(err))
		}
	}
	if _, err := ReadSecret(filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not there: %v", err)
	}
	if _, err := ReadSecret(write(t, filepath.Join(t.TempDir(), "x"), bytes.Repeat([]byte("x"), 5000), 0o600), nil); err == nil {
		t.Error("not a key")
	}
}

func TestLoadTrust(t *testing.T) {
	a, b := generate(t), generate(t)
	dir := t.TempDir()
	bundle := signed(t, b)
	accepted := func(path string) error {
		trust, err := LoadTrust(path)
		if err != nil {
			return err
		}
		_, err = format.Open(bytes.NewReader(bundle), int64(len(bundle)), trust)
		return err
	}
	for _, path := range []string{dir, filepath.Join(dir, "missing")} {
		if err := accepted(path); err == nil || len(hint.Of(err)) != 1 {
			t.Errorf("%s: %v, hints %q", path, err, hint.Of(err))
		}
	}
	pubA, _ := EncodePublic(Public(a))
	pubB, _ := EncodePublic(Public(b))
	write(t, filepath.Join(dir, "a.pub"), pubA, 0o644)
	write(t, filepath.Join(dir, "b.pub.off"), pubB, 0o644)
	if err := accepted(dir); !errors.Is(err, format.ErrSignature) {
		t.Errorf("another's key: %v", err)
	}
	path := write(t, filepath.Join(dir, "b.pub"), pubB, 0o644)
	if err := accepted(dir); err != nil {
		t.Error(err)
	}
	if err := accepted(path); err != nil {
		t.Error(err)
	}
	write(t, path, pubB, 0o646)
	if err := accepted(dir); err == nil || !strings.Contains(err.Error(), "everybody may write it") {
		t.Errorf("a key that everybody may write: %v", err)
	}
	write(t, path, pubB, 0o644)
	write(t, filepath.Join(dir, "c.pub"), []byte("untrusted comment: x\nRWQ\n"), 0o644)
	if err := accepted(dir); err == nil || !strings.Contains(err.Error(), "c.pub") {
		t.Errorf("a damaged key: %v", err)
	}
	os.Remove(filepath.Join(dir, "c.pub"))
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := accepted(dir); err == nil {
		t.Error("a directory that everybody may write")
	}
}

// unsigned is a bundle of one payload.
func unsigned(t *testing.T) []byte {
	t.Helper()
	info := format.PayloadInfo{Image: format.Image{Name: "demod", BuildID: strings.Repeat("ab", 20), Machine: "amd64"}}
	data, err := format.Encode(format.Manifest{ID: "CVE-1", Version: 1, Payloads: []format.PayloadInfo{info}}, [][]byte{[]byte("payload")})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func signed(t *testing.T, key format.PrivateKey) []byte {
	t.Helper()
	data, err := format.Sign(unsigned(t), key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return string(out)
}

// The minisign tool accepts our keys and our signature over the first bytes of
// the bundle, and refuses it over others.
func TestMinisignVerifiesOurs(t *testing.T) {
	key := generate(t)
	dir := t.TempDir()
	_, public := pair(t, dir, key, "")
	bundle := signed(t, key)
	u, err := format.OpenUnverified(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		t.Fatal(err)
	}
	message := write(t, filepath.Join(dir, "signed"), bundle[:u.SignedSize()], 0o600)
	write(t, message+".minisig", u.Signatures()[0], 0o600)
	out := run(t, "minisign", "-V", "-p", public, "-m", message)
	if !strings.Contains(out, "ulpatch bundle CVE-1 version 1") {
		t.Errorf("minisign does not show the trusted comment: %s", out)
	}
	write(t, message, bundle[:u.SignedSize()-1], 0o600)
	if err := exec.Command("minisign", "-V", "-p", public, "-m", message).Run(); err == nil {
		t.Error("minisign accepts another message")
	}
}

// The minisign tool signs with our key file and with one of its own; both count.
func TestWeVerifyMinisign(t *testing.T) {
	dir := t.TempDir()
	own := generate(t)
	ownSecret, ownPublic := pair(t, dir, own, "")
	theirSecret, theirPublic := filepath.Join(dir, "m.key"), filepath.Join(dir, "m.pub")
	run(t, "minisign", "-G", "-W", "-s", theirSecret, "-p", theirPublic)
	body := unsigned(t)
	for i, key := range []struct{ secret, public string }{{ownSecret, ownPublic}, {theirSecret, theirPublic}} {
		message := write(t, filepath.Join(dir, fmt.Sprint("signed", i)), body, 0o600)
		run(t, "minisign", "-S", "-W", "-s", key.secret, "-m", message, "-t", "by hand")
		text, err := os.ReadFile(message + ".minisig")
		if err != nil {
			t.Fatal(err)
		}
		public, err := ReadPublic(key.public)
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := format.Attach(body, text, public)
		if err != nil {
			t.Fatal(err)
		}
		b, err := format.Open(bytes.NewReader(bundle), int64(len(bundle)), format.TrustKeys(public))
		if err != nil {
			t.Fatal(err)
		}
		if b.Signers[0].Comment != "by hand" {
			t.Errorf("signers %v", b.Signers)
		}
		if _, err := format.Attach(body, text, Public(generate(t))); !errors.Is(err, format.ErrSignature) {
			t.Errorf("attached for another key: %v", err)
		}
	}
	if _, err := ReadSecret(theirSecret, nil); err != nil {
		t.Errorf("a secret key of the minisign tool: %v", err)
	}
}

func TestPasswordFile(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]string{"secret\n": "secret", "secret": "secret", "two words\nsecond line\n": "two words"} {
		t.Setenv(PasswordFile, write(t, filepath.Join(dir, "p"), []byte(content), 0o600))
		if got, err := NewPassword(); err != nil || got != want {
			t.Errorf("%q: %q, %v", content, got, err)
		}
	}
	for _, content := range []string{"", "\n", strings.Repeat("x", 2000)} {
		t.Setenv(PasswordFile, write(t, filepath.Join(dir, "p"), []byte(content), 0o600))
		if got, err := NewPassword(); err == nil {
			t.Errorf("%d bytes: %q", len(content), got)
		}
	}
	t.Setenv(PasswordFile, filepath.Join(dir, "missing"))
	if _, err := Password(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}
