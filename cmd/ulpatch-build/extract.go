// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/payload"
)

func extractCommand() *cli.Command {
	return &cli.Command{
		Name:      "extract",
		Usage:     "take a bundle apart, for readelf, objdump and minisign",
		ArgsUsage: "BUNDLE",
		Description: "DIR gets manifest.json; a payload MACHINE-BUILDID.o for each image; signed, the\n" +
			"bytes that signatures cover; and signed.KEYID.minisig for each signature:\n" +
			"    minisign -V -p KEY.pub -m DIR/signed -x DIR/signed.KEYID.minisig",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "d", Usage: "make the directory `DIR`"},
			trustFlag(""),
		},
		Action: func(c *cli.Context) error {
			args, err := ui.Args(c, "BUNDLE")
			if err != nil {
				return err
			}
			dir, err := ui.Required(c, "d")
			if err != nil {
				return err
			}
			return openBundle(args[0], c.String("trust"), func(b *bundle) error { return extract(c, b, dir) })
		},
	}
}

func extract(c *cli.Context, b *bundle, dir string) error {
	files := map[string][]byte{}
	var err error
	if files["manifest.json"], err = format.EncodeManifest(b.manifest); err != nil {
		return err
	}
	for i, p := range b.manifest.Payloads {
		f, err := b.payload(i)
		if err != nil {
			return err
		}
		if files[p.Image.Machine+"-"+p.Image.BuildID+".o"], err = payload.Encode(f); err != nil {
			return err
		}
	}
	signed := io.NewSectionReader(b.file, 0, b.unverified.SignedSize())
	if files["signed"], err = io.ReadAll(signed); err != nil {
		return err
	}
	for i, text := range b.unverified.Signatures() {
		files["signed."+b.unverified.KeyIDs[i]+".minisig"] = text
	}
	if err := ui.CreateDir(dir, files, 0o644); err != nil {
		return err
	}
	warnUnverified(c, b)
	fmt.Fprintf(c.App.Writer, "%s: %s\n", dir, count(len(files), "file"))
	return nil
}
