// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/keys"
	"github.com/ulpatch/ulpatch/format/payload"
)

// trustFlag is --trust; without it, fallback.
func trustFlag(fallback string) cli.Flag {
	return &cli.StringFlag{Name: "trust", Value: fallback, Usage: "public key `FILE`, or a directory of *.pub with a policy"}
}

// bundle is one that a command was given: verified, or else only to be shown.
type bundle struct {
	path       string
	manifest   format.Manifest
	signers    []format.Signer // empty where it was not verified
	unverified *format.Unverified
	payload    func(i int) (*payload.File, error)
	part       format.Part
	file       *ui.Input
}

// openBundle opens a bundle for a function and closes it afterwards. With trust
// "" it is not verified.
func openBundle(path, trust string, use func(*bundle) error) error {
	b, err := open(path, trust)
	if err != nil {
		return err
	}
	defer b.file.Close()
	if err := use(b); err != nil {
		return fmt.Errorf("%s: %w", b.path, err)
	}
	return nil
}

// open opens a bundle, whose file has to be closed.
func open(path, trust string) (*bundle, error) {
	f, err := ui.OpenInput(path, format.MaxSize)
	if err != nil {
		return nil, err
	}
	b := &bundle{path: ui.Named(path), file: f}
	if err := b.read(trust); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", b.path, err), f.Close())
	}
	return b, nil
}

func (b *bundle) read(trust string) error {
	var verified *format.Bundle
	if trust != "" {
		trusted, err := keys.LoadTrust(trust)
		if err != nil {
			return err
		}
		if verified, err = format.Open(b.file, b.file.Size, trusted); err != nil {
			return hintFor(err)
		}
		b.manifest, b.signers, b.part = verified.Manifest, verified.Signers, verified.Part(b.path)
		b.payload = func(i int) (*payload.File, error) { return payload.FromBundle(verified, i) }
	}
	var err error
	if b.unverified, err = format.OpenUnverified(b.file, b.file.Size); err != nil {
		return hintFor(err)
	}
	if verified == nil {
		b.manifest, b.part = b.unverified.Manifest, b.unverified.Part(b.path)
		b.payload = func(i int) (*payload.File, error) { return payload.FromUnverified(b.unverified, i) }
	}
	return nil
}

func hintFor(err error) error {
	switch {
	case errors.Is(err, format.ErrVersion), errors.Is(err, format.ErrFeature):
		return ui.Hint(err, "it was made by a newer version of ulpatch")
	case errors.Is(err, format.ErrSignature):
		return ui.Hint(err, "it was changed, or too few of those who signed it are trusted")
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
