// SPDX-License-Identifier: GPL-2.0-or-later

// Package keys makes and reads the files of minisign keys, secret ones to sign
// with and public ones to trust, and the directory that says whom a host trusts.
// It knows the files and how they have to be guarded, not what is signed.
package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"aead.dev/minisign"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/hint"
)

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

// Import makes minisign's form of an Ed25519 public key, 32 bytes, that was made
// elsewhere.
func Import(raw []byte, id uint64) (format.PublicKey, error) {
	var key format.PublicKey
	if len(raw) != ed25519.PublicKeySize {
		return key, fmt.Errorf("a public key of %d bytes, not %d", len(raw), ed25519.PublicKeySize)
	}
	text := binary.LittleEndian.AppendUint64([]byte("Ed"), id)
	return key, key.UnmarshalText([]byte(base64.StdEncoding.EncodeToString(append(text, raw...))))
}

// ReadForeign reads an Ed25519 public key in PEM (SubjectPublicKeyInfo), as
// key-management services and openssl write it. Its ID is taken from a digest of
// the key, so that it is the same each time.
func ReadForeign(path string) (format.PublicKey, error) {
	key, err := readForeign(path)
	if err != nil {
		return format.PublicKey{}, fmt.Errorf("public key: %w", named(path, err))
	}
	return key, nil
}

func readForeign(path string) (key format.PublicKey, err error) {
	text, err := readText(path, func(fs.FileMode) error { return nil })
	if err != nil {
		return key, err
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return key, errors.New("not one PEM block PUBLIC KEY")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return key, err
	}
	raw, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return key, fmt.Errorf("%T, not an Ed25519 key", parsed)
	}
	id := sha256.Sum256(raw)
	return Import(raw, binary.LittleEndian.Uint64(id[:8]))
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
		return format.PrivateKey{}, fmt.Errorf("secret key: %w", named(path, err))
	}
	return key, nil
}

func readSecret(path string, password func() (string, error)) (format.PrivateKey, error) {
	text, err := readText(path, func(mode fs.FileMode) error {
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
	text, err := readText(path, notForeign(path))
	if err == nil {
		err = key.UnmarshalText([]byte(text))
	}
	if err != nil {
		return format.PublicKey{}, fmt.Errorf("public key: %w", named(path, err))
	}
	return key, nil
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

// readText reads a key file without the white space around it.
func readText(path string, check func(fs.FileMode) error) (string, error) {
	data, err := readFile(path, maxFile, check)
	return strings.TrimSpace(string(data)), err
}

// readFile reads a file of at most limit bytes, whose mode check has approved.
func readFile(path string, limit int64, check func(fs.FileMode) error) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if err := check(info.Mode()); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("more than %d bytes", limit)
	}
	return data, nil
}

// named puts the path before an error that does not have it.
func named(path string, err error) error {
	var has *fs.PathError
	if errors.As(err, &has) {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}
