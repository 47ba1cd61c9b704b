// SPDX-License-Identifier: GPL-2.0-or-later

package keys

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/hint"
	"github.com/ulpatch/ulpatch/format/trust"
)

// DefaultTrust is the directory that says whom a host trusts.
const DefaultTrust = "/etc/ulpatch/trust.d"

// The names of the files in it; all others are not ours.
const (
	publicSuffix = ".pub"
	policyName   = "policy.toml"
	listSuffix   = ".revoked"
	signedSuffix = ".minisig"
)

const hintTrust = "copy the public key (.pub) of whom you trust to " + DefaultTrust + ", or name it with --trust"

// LoadTrust reads whom to trust: one public key file, or a directory of *.pub
// with a policy and lists of what is revoked, as specs/trust.md describes it. No
// key at all is an error; so is whatever in the directory is not understood.
func LoadTrust(path string) (format.Trust, error) {
	t, err := loadTrust(path)
	if err != nil {
		return format.Trust{}, fmt.Errorf("trust: %w", err)
	}
	return t, nil
}

func loadTrust(path string) (format.Trust, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return format.Trust{}, hint.With(err, hintTrust)
	}
	if err != nil {
		return format.Trust{}, err
	}
	if !info.IsDir() {
		key, err := ReadPublic(path)
		if err != nil {
			return format.Trust{}, err
		}
		c := clock{after: epoch, why: whyEpoch}
		return format.NewTrust(format.Policy{
			Keys:  []format.TrustedKey{{Key: key, Name: filepath.Base(path)}},
			Clock: c.now,
		}), nil
	}
	if err := notForeign(path)(info.Mode()); err != nil {
		return format.Trust{}, fmt.Errorf("%s: %w", path, err)
	}
	d, err := readDirectory(path)
	if err != nil {
		return format.Trust{}, err
	}
	return d.trust(time.Now)
}

// directory is what a trust directory holds.
type directory struct {
	path   string
	keys   []format.TrustedKey // by name
	policy *trust.Policy
	lists  []list
}

// list is a list of what is revoked, whose signature is valid.
type list struct {
	name string
	*trust.List
}

func readDirectory(path string) (*directory, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	d := &directory{path: path, policy: trust.Default()}
	present := map[string]bool{}
	for _, e := range entries {
		present[e.Name()] = !strings.HasPrefix(e.Name(), ".")
	}
	for _, e := range entries {
		if err := d.classify(e.Name(), present); err != nil {
			return nil, err
		}
	}
	if len(d.keys) == 0 {
		return nil, hint.With(fmt.Errorf("%s: no *.pub in it", path), hintTrust)
	}
	if err := d.distinct(); err != nil {
		return nil, err
	}
	if present[policyName] {
		if err := d.readPolicy(); err != nil {
			return nil, err
		}
	}
	for _, e := range entries {
		if name := e.Name(); present[name] && strings.HasSuffix(name, listSuffix) {
			if err := d.readList(name); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

// classify reads a public key, and refuses names that are slips: a policy or a
// list that is overlooked would leave the host more open than was meant.
func (d *directory) classify(name string, present map[string]bool) error {
	if !present[name] {
		return nil
	}
	at := filepath.Join(d.path, name)
	switch ext := filepath.Ext(name); {
	case ext == publicSuffix:
		key, err := ReadPublic(at)
		if err != nil {
			return err
		}
		d.keys = append(d.keys, format.TrustedKey{Key: key, Name: name})
	case strings.EqualFold(ext, ".toml") && name != policyName:
		return fmt.Errorf("%s: not %s, which is the only policy", at, policyName)
	case ext == listSuffix && !present[name+signedSuffix]:
		return hint.With(fmt.Errorf("%s: %s is missing", at, name+signedSuffix), "minisign -S -m "+name+" makes it")
	case strings.HasSuffix(name, listSuffix+signedSuffix) && !present[strings.TrimSuffix(name, signedSuffix)]:
		return fmt.Errorf("%s: the list that it signs is missing", at)
	}
	return nil
}

// distinct wants that no two names stand for one key, which would then count
// twice, and no two keys have one ID.
func (d *directory) distinct() error {
	for i, a := range d.keys {
		for _, b := range d.keys[:i] {
			if a.Key.ID() == b.Key.ID() || bytes.Equal(rawKey(a.Key), rawKey(b.Key)) {
				return fmt.Errorf("%s: %s and %s are the same key, or have the same ID", d.path, b.Name, a.Name)
			}
		}
	}
	return nil
}

// rawKey is the key without its ID.
func rawKey(key format.PublicKey) []byte {
	raw, err := base64.StdEncoding.DecodeString(key.String()[strings.LastIndexByte(key.String(), '\n')+1:])
	if err != nil || len(raw) != 42 {
		panic("keys: minisign's text of a public key: " + key.String())
	}
	return raw[10:] // behind algorithm and ID
}

func (d *directory) readPolicy() error {
	at := filepath.Join(d.path, policyName)
	data, err := readFile(at, trust.MaxPolicy, notForeign(at))
	if err != nil {
		return named(at, err)
	}
	if d.policy, err = trust.ParsePolicy(at, data); err != nil {
		return err
	}
	files := map[string]bool{}
	for i := range d.keys {
		k := &d.keys[i]
		name := strings.TrimSuffix(k.Name, publicSuffix)
		files[name] = true
		r := d.policy.Rule(name)
		k.NotAfter, k.IDs, k.Images, k.BuildIDs = r.NotAfter, r.IDs, r.Images, r.BuildIDs
	}
	for name, r := range d.policy.Keys {
		if !files[name] {
			return fmt.Errorf("%s:%d: there is no %s", at, r.Line, filepath.Join(d.path, name+publicSuffix))
		}
	}
	if d.policy.Threshold > len(d.keys) {
		return fmt.Errorf("%s: threshold %d, of %d keys: nothing could be accepted", at, d.policy.Threshold, len(d.keys))
	}
	return nil
}

func (d *directory) readList(name string) error {
	at := filepath.Join(d.path, name)
	data, err := readFile(at, trust.MaxList, notForeign(at))
	if err != nil {
		return named(at, err)
	}
	signature, err := readFile(at+signedSuffix, maxFile, notForeign(at+signedSuffix))
	if err != nil {
		return named(at+signedSuffix, err)
	}
	var revokers []format.PublicKey
	for _, k := range d.keys {
		if d.policy.Rule(strings.TrimSuffix(k.Name, publicSuffix)).Revokes {
			revokers = append(revokers, k.Key)
		}
	}
	if _, err := trust.VerifyList(data, signature, revokers); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	l, err := trust.ParseList(at, data)
	if err != nil {
		return err
	}
	d.lists = append(d.lists, list{at, l})
	return nil
}

// trust puts together what the files say. wall is the host's clock.
func (d *directory) trust(wall func() time.Time) (format.Trust, error) {
	p := format.Policy{Keys: d.keys, Threshold: d.policy.Threshold}
	c := clock{after: epoch, why: whyEpoch, synchronised: d.policy.Synchronised, wall: wall}
	for _, l := range d.lists {
		p.Revoked.Keys = append(p.Revoked.Keys, l.Revoked.Keys...)
		p.Revoked.Bundles = append(p.Revoked.Bundles, l.Revoked.Bundles...)
		if issued := time.Unix(int64(l.Issued), 0); issued.After(c.after) {
			c.after, c.why = issued, "when "+l.name+" was issued"
		}
	}
	p.Clock = c.now
	if d.policy.Fresh {
		if err := d.fresh(c.now); err != nil {
			return format.Trust{}, err
		}
	}
	return format.NewTrust(p), nil
}

// fresh wants a list that has not expired.
func (d *directory) fresh(now func() (time.Time, error)) error {
	t, err := now()
	if err != nil {
		return fmt.Errorf("%s wants a fresh list of what is revoked, and %w", filepath.Join(d.path, policyName), err)
	}
	for _, l := range d.lists {
		if l.Expires != 0 && t.Unix() < int64(l.Expires) {
			return nil
		}
	}
	return fmt.Errorf("%s wants a fresh list of what is revoked, and of the %d that are there none expires after %s",
		filepath.Join(d.path, policyName), len(d.lists), t.UTC().Format(time.RFC3339))
}
