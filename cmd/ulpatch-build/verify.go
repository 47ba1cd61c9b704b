// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
	"github.com/ulpatch/ulpatch/format/keys"
)

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name:        "verify",
		Usage:       "check a bundle as a host does before it applies it",
		ArgsUsage:   "BUNDLE",
		Description: "Envelope, signatures, manifest, policy, payloads, in this order. Exit code 3: not\nsigned by enough trusted keys, or the policy forbids it. BUNDLE may be - for a pipe.",
		Flags:       []cli.Flag{trustFlag(keys.DefaultTrust)},
		Action: func(c *cli.Context) error {
			args, err := ui.Args(c, "BUNDLE")
			if err != nil {
				return err
			}
			trust, err := ui.Required(c, "trust")
			if err != nil {
				return err
			}
			return openBundle(args[0], trust, func(b *bundle) error { return verify(c, b) })
		},
	}
}

func verify(c *cli.Context, b *bundle) error {
	if err := b.checkPayloads(); err != nil {
		return err
	}
	fmt.Fprintf(c.App.Writer, "%s: valid: %s version %d, %s\n",
		b.path, b.manifest.ID, b.manifest.Version, count(len(b.manifest.Payloads), "payload"))
	if b.manifest.Expires != 0 {
		fmt.Fprintf(c.App.Writer, "expires at %s\n", b.manifest.Expires)
	}
	for _, s := range b.signers {
		fmt.Fprintf(c.App.Writer, "signed by key %s: %s\n", s.KeyID, s.Comment)
	}
	return nil
}

// count writes a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
