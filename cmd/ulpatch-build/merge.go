// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
	"github.com/ulpatch/ulpatch/format"
)

func mergeCommand() *cli.Command {
	return &cli.Command{
		Name:      "merge",
		Usage:     "make one bundle of several of one patch, for different images",
		ArgsUsage: "BUNDLE...",
		Description: "ID, version, description, replaces and expires of all have to be the same.\n" +
			"Signatures are made anew; without --key there are none, which also is a way to\n" +
			"take all off a bundle. With --trust each input has to be valid.",
		Flags: []cli.Flag{keysFlag(), outputFlag(), expiresFlag(), trustFlag("")},
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				_, err := ui.Args(c, "BUNDLE")
				return err
			}
			output, err := ui.Required(c, "o")
			if err != nil {
				return err
			}
			expires, given, err := expiry(c)
			if err != nil {
				return err
			}
			secrets, err := readSecrets(c)
			if err != nil {
				return err
			}
			return openParts(c.Args().Slice(), c.String("trust"), func(parts []format.Part) error {
				data, err := format.Merge(parts, func(m *format.Manifest) {
					if given {
						m.Expires = expires
					}
				})
				if err == nil && len(secrets) > 0 {
					data, err = format.Sign(data, secrets...)
				}
				if err != nil {
					return err
				}
				return writeBundle(c, data, output)
			})
		},
	}
}

// openParts opens bundles for a function and closes them afterwards.
func openParts(paths []string, trust string, use func([]format.Part) error) error {
	var parts []format.Part
	for _, path := range paths {
		b, err := open(path, trust)
		if err != nil {
			return err
		}
		defer b.file.Close()
		if err := b.checkPayloads(); err != nil {
			return fmt.Errorf("%s: %w", b.path, err)
		}
		parts = append(parts, b.part)
	}
	return use(parts)
}
