// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/keys"
	"github.com/ulpatch/ulpatch/format/payload"
)

// trustFlag is --trust; without it, fallback.
func trustFlag(fallback string) cli.Flag {
	return &cli.StringFlag{Name: "trust", Value: fallback, Usage: "public key `FILE`, or a directory of *.pub"}
}

// bundle is one that a command was given: verified, or else only to be shown.
type bundle struct {
	path       string
	manifest   format.Manifest
	signers    []format.Signer // empty where it was not verified
	unverified *format.Unverified
	payload    func(i int) (*payload.File, error)
	file       io.ReaderAt
}

// openBundle opens a bundle for a function and closes it afterwards. With trust
// "" it is not verified.
func openBundle(path, trust string, use func(*bundle) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err == nil {
		err = readBundle(f, info.Size(), path, trust, use)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func readBundle(f *os.File, size int64, path, trust string, use func(*bundle) error) error {
	b := &bundle{path: path, file: f}
	if trust != "" {
		keys, err := keys.LoadTrust(trust)
		if err != nil {
			return err
		}
		verified, err := format.Open(f, size, keys)
		if err != nil {
			return hintFor(err)
		}
		b.manifest, b.signers = verified.Manifest, verified.Signers
		b.payload = func(i int) (*payload.File, error) { return payload.FromBundle(verified, i) }
	}
	var err error
	if b.unverified, err = format.OpenUnverified(f, size); err != nil {
		return hintFor(err)
	}
	if trust == "" {
		b.manifest = b.unverified.Manifest
		b.payload = func(i int) (*payload.File, error) { return payload.FromUnverified(b.unverified, i) }
	}
	return use(b)
}

func hintFor(err error) error {
	switch {
	case errors.Is(err, format.ErrVersion), errors.Is(err, format.ErrFeature):
		return ui.Hint(err, "it was made by a newer version of ulpatch")
	case errors.Is(err, format.ErrSignature):
		return ui.Hint(err, "it was changed, or made by somebody whose key is not trusted")
	}
	return err
}

// warnUnverified says loudly what could be mistaken.
func warnUnverified(c *cli.Context, b *bundle) {
	if len(b.signers) == 0 {
		ui.Warnf(c.App.ErrWriter, program, "%s: its signature was NOT verified: anybody may have made it", b.path)
		ui.Hintf(c.App.ErrWriter, program, "--trust FILE.pub verifies it")
	}
}
