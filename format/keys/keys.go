// SPDX-License-Identifier: GPL-2.0-or-later

// Package keys makes and reads the files of minisign keys: secret ones to sign
// with, public ones to trust. It knows the files and how they have to be
// guarded, not what is signed.
package keys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aead.dev/minisign"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/hint"
)

// DefaultTrust is the directory of the public keys that a host trusts.
const DefaultTrust = "/etc/ulpatch/trust.d"

// maxFile bounds a key file, in bytes.
const maxFile = 4096

// Generate makes a new key pair; the public half is Public of the result.
func Generate() (format.PrivateKey, error) {
	_, key, err := minisign.GenerateKey(nil)
	return key, err
}

// Public is the public half of a key.
func Public(key format.PrivateKey) format.PublicKey {
	return key.Public().(format.PublicKey) // of no other type, by minisign's contract
}

// EncodeSecret is the content of a secret key file. With a password it is
// encrypted (scrypt: about a second and 1 GiB of memory); "" leaves it plain.
func EncodeSecret(key format.PrivateKey, password string) ([]byte, error) {
	encode := key.MarshalText
	if password != "" {
		encode = func() ([]byte, error) { return minisign.EncryptKey(password, key) }
	}
	text, err := encode()
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

// EncodePublic is the content of a public key file.
func EncodePublic(key format.PublicKey) ([]byte, error) {
	text, err := key.MarshalText()
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

// ReadSecret reads a secret key file, which nobody but its owner may read.
// password is called where the key is encrypted.
func ReadSecret(path string, password func() (string, error)) (format.PrivateKey, error) {
	key, err := readSecret(path, password)
	if err != nil {
		return format.PrivateKey{}, fmt.Errorf("secret key: %w", at(path, err))
	}
	return key, nil
}

func readSecret(path string, password func() (string, error)) (format.PrivateKey, error) {
	text, err := readFile(path, func(mode fs.FileMode) error {
		if mode.Perm()&0o077 != 0 {
			return hint.With(fmt.Errorf("others may read or write it (mode %04o)", mode.Perm()), "chmod 600 "+path)
		}
		return nil
	})
	if err != nil {
		return format.PrivateKey{}, err
	}
	var key format.PrivateKey
	if !minisign.IsEncrypted([]byte(text)) {
		return key, key.UnmarshalText([]byte(text))
	}
	if password == nil {
		return key, errors.New("it is encrypted, and there is no password")
	}
	word, err := password()
	if err != nil {
		return key, err
	}
	key, err = minisign.DecryptKey(word, []byte(text))
	if err != nil {
		return key, errors.New("wrong password, or damaged")
	}
	return key, nil
}

// ReadPublic reads a public key file.
func ReadPublic(path string) (format.PublicKey, error) {
	var key format.PublicKey
	text, err := readFile(path, notForeign(path))
	if err == nil {
		err = key.UnmarshalText([]byte(text))
	}
	if err != nil {
		return format.PublicKey{}, fmt.Errorf("public key: %w", at(path, err))
	}
	return key, nil
}

// LoadTrust reads the keys to trust: one public key file, or a directory of
// *.pub. No key at all is an error.
func LoadTrust(path string) (format.Trust, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return format.Trust{}, hint.With(fmt.Errorf("trust: %w", err), hintTrust)
	}
	if err != nil {
		return format.Trust{}, fmt.Errorf("trust: %w", err)
	}
	files := []string{path}
	if info.IsDir() {
		if err := notForeign(path)(info.Mode()); err != nil {
			return format.Trust{}, fmt.Errorf("trust: %s: %w", path, err)
		}
		if files, err = publicKeys(path); err != nil {
			return format.Trust{}, fmt.Errorf("trust: %w", err)
		}
	}
	if len(files) == 0 {
		return format.Trust{}, hint.With(fmt.Errorf("trust: %s: no *.pub in it", path), hintTrust)
	}
	var trusted []format.PublicKey
	for _, file := range files {
		key, err := ReadPublic(file)
		if err != nil {
			return format.Trust{}, fmt.Errorf("trust: %w", err)
		}
		trusted = append(trusted, key)
	}
	return format.TrustKeys(trusted...), nil
}

const hintTrust = "copy the public key (.pub) of whom you trust to " + DefaultTrust + ", or name it with --trust"

// publicKeys lists the *.pub of a directory, by name.
func publicKeys(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".pub") && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(files)
	return files, nil
}

// notForeign wants that not everybody may change what we trust.
func notForeign(path string) func(fs.FileMode) error {
	return func(mode fs.FileMode) error {
		if mode.Perm()&0o002 != 0 {
			return hint.With(fmt.Errorf("everybody may write it (mode %04o)", mode.Perm()), "chmod o-w "+path)
		}
		return nil
	}
}

// readFile reads a small text file, whose mode check has approved, without the
// white space around it.
func readFile(path string, check func(fs.FileMode) error) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a regular file")
	}
	if err := check(info.Mode()); err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxFile {
		return "", fmt.Errorf("more than %d bytes: not a key", maxFile)
	}
	return strings.TrimSpace(string(text)), nil
}

// at puts the path before an error that does not have it.
func at(path string, err error) error {
	var has *fs.PathError
	if errors.As(err, &has) {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}
