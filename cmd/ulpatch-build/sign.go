// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/keys"
)

func signCommand() *cli.Command {
	return &cli.Command{
		Name:        "sign",
		Usage:       "add a signature to a bundle",
		ArgsUsage:   "BUNDLE",
		Description: "What others have signed stays; another signature by the same key takes the\nplace of the first. BUNDLE and FILE may be - for a pipe.",
		Flags:       []cli.Flag{keysFlag(), outputFlag(), trustFlag("")},
		Action: func(c *cli.Context) error {
			args, err := ui.Args(c, "BUNDLE")
			if err != nil {
				return err
			}
			if _, err := ui.Required(c, "key"); err != nil {
				return err
			}
			output, err := ui.Required(c, "o")
			if err != nil {
				return err
			}
			secrets, err := readSecrets(c)
			if err != nil {
				return err
			}
			return openBundle(args[0], c.String("trust"), func(b *bundle) error { return sign(c, b, secrets, output) })
		},
	}
}

func keysFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "key", Usage: "secret key `FILE` to sign with; may be repeated"}
}

func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "o", Usage: "write the bundle to `FILE`"}
}

// readSecrets reads the keys that --key names.
func readSecrets(c *cli.Context) ([]format.PrivateKey, error) {
	var secrets []format.PrivateKey
	for _, path := range c.StringSlice("key") {
		key, err := keys.ReadSecret(path, keys.Password)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, key)
	}
	return secrets, nil
}

func sign(c *cli.Context, b *bundle, secrets []format.PrivateKey, output string) error {
	data, err := b.whole()
	if err != nil {
		return err
	}
	if data, err = format.Sign(data, secrets...); err != nil {
		return err
	}
	return writeBundle(c, data, output)
}

// whole reads a bundle into memory, and wants that a host could read it.
func (b *bundle) whole() ([]byte, error) {
	if err := b.checkPayloads(); err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(b.file, 0, b.file.Size))
}

func (b *bundle) checkPayloads() error {
	for i := range b.manifest.Payloads {
		if _, err := b.payload(i); err != nil {
			return err
		}
	}
	return nil
}

// writeBundle writes a bundle and says what was written, unless it went to where
// that is said.
func writeBundle(c *cli.Context, data []byte, output string) error {
	u, err := format.OpenUnverified(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	if err := ui.WriteOutput(c.App.Writer, output, data); err != nil || output == ui.Stdio {
		return err
	}
	m := u.Manifest
	fmt.Fprintf(c.App.Writer, "%s: %s version %d, %s, %s\n", output, m.ID, m.Version,
		count(len(m.Payloads), "payload"), count(len(data), "byte"))
	if m.Expires != 0 {
		fmt.Fprintf(c.App.Writer, "expires at %s\n", m.Expires)
	}
	for _, id := range u.KeyIDs {
		fmt.Fprintf(c.App.Writer, "signed by key %s\n", id)
	}
	if len(u.KeyIDs) == 0 {
		ui.Warnf(c.App.ErrWriter, program, "%s: it has no signature; no host accepts it", output)
		ui.Hintf(c.App.ErrWriter, program, "ulpatch-build sign, or digest and attach, add one")
	}
	return nil
}
