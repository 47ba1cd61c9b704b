// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/keys"
)

func digestCommand() *cli.Command {
	return &cli.Command{
		Name:      "digest",
		Usage:     "print what a key in an HSM or a KMS has to sign",
		ArgsUsage: "BUNDLE",
		Description: "Two plain Ed25519 signatures (not Ed25519ph) make one that minisign and hosts accept:\n" +
			"    ulpatch-build digest -o one BUNDLE                       # sign one, giving one.sig\n" +
			"    ulpatch-build digest --signature one.sig -o two BUNDLE   # sign two, giving two.sig\n" +
			"    ulpatch-build attach --public KEY.pub --signature one.sig --comment-signature two.sig \\\n" +
			"                         -o SIGNED BUNDLE\n" +
			"keygen --public makes KEY.pub. Without -o, hexadecimal is printed.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "signature", Usage: "the first signature, in `FILE`: print the second message"},
			&cli.StringFlag{Name: "o", Usage: "write the bytes to `FILE`"},
			trustFlag(""),
		},
		Action: func(c *cli.Context) error {
			args, err := ui.Args(c, "BUNDLE")
			if err != nil {
				return err
			}
			return openBundle(args[0], c.String("trust"), func(b *bundle) error { return digest(c, b) })
		},
	}
}

func digest(c *cli.Context, b *bundle) error {
	if err := b.checkPayloads(); err != nil {
		return err
	}
	message, err := b.unverified.Digest()
	if path := c.String("signature"); path != "" && err == nil {
		var signature []byte
		if signature, err = readRaw(path); err == nil {
			message, err = format.CommentMessage(signature, b.unverified.Comment())
		}
	}
	if err != nil {
		return err
	}
	if output := c.String("o"); output != "" {
		return ui.WriteOutput(c.App.Writer, output, message)
	}
	fmt.Fprintf(c.App.Writer, "%x\n", message)
	return nil
}

func attachCommand() *cli.Command {
	return &cli.Command{
		Name:      "attach",
		Usage:     "add a signature that was made elsewhere to a bundle",
		ArgsUsage: "BUNDLE",
		Description: "Either by the minisign tool, over the file \"signed\" that extract writes:\n" +
			"    minisign -S -s KEY -t COMMENT -m DIR/signed\n" +
			"    ulpatch-build attach --public KEY.pub --minisig DIR/signed.minisig -o SIGNED BUNDLE\n" +
			"or by an HSM or a KMS; see digest.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "public", Usage: "public key `FILE`, for which it has to be valid"},
			&cli.StringFlag{Name: "minisig", Usage: "signature `FILE` of minisign"},
			&cli.StringFlag{Name: "signature", Usage: "Ed25519 signature of what digest prints, in `FILE`: 64 bytes, or base64 or hexadecimal"},
			&cli.StringFlag{Name: "comment-signature", Usage: "that of what digest --signature prints, in `FILE`"},
			outputFlag(), trustFlag(""),
		},
		Action: func(c *cli.Context) error {
			args, err := ui.Args(c, "BUNDLE")
			if err != nil {
				return err
			}
			required := []string{"public", "o"}
			switch parts := c.IsSet("signature") || c.IsSet("comment-signature"); {
			case c.IsSet("minisig") == parts:
				return ui.Usagef("either --minisig, or --signature and --comment-signature")
			case parts:
				required = append(required, "signature", "comment-signature")
			}
			for _, flag := range required {
				if _, err := ui.Required(c, flag); err != nil {
					return err
				}
			}
			return openBundle(args[0], c.String("trust"), func(b *bundle) error { return attach(c, b) })
		},
	}
}

func attach(c *cli.Context, b *bundle) error {
	public, err := keys.ReadPublic(c.String("public"))
	if err != nil {
		return err
	}
	data, err := b.whole()
	if err != nil {
		return err
	}
	text, err := signatureText(c, b, public)
	if err != nil {
		return err
	}
	if data, err = format.Attach(data, text, public); err != nil {
		return err
	}
	return writeBundle(c, data, c.String("o"))
}

// signatureText is the signature file that the flags name, or make.
func signatureText(c *cli.Context, b *bundle, public format.PublicKey) ([]byte, error) {
	if path := c.String("minisig"); path != "" {
		return readSmall(path)
	}
	var parts [2][]byte
	for i, flag := range []string{"signature", "comment-signature"} {
		var err error
		if parts[i], err = readRaw(c.String(flag)); err != nil {
			return nil, err
		}
	}
	return format.JoinSignature(public, parts[0], parts[1], b.unverified.Comment())
}

// readRaw reads an Ed25519 signature.
func readRaw(path string) ([]byte, error) {
	data, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	if len(data) == ed25519.SignatureSize {
		return data, nil
	}
	text := string(bytes.TrimSpace(data))
	for _, decode := range []func(string) ([]byte, error){base64.StdEncoding.DecodeString, hex.DecodeString} {
		if raw, err := decode(text); err == nil && len(raw) == ed25519.SignatureSize {
			return raw, nil
		}
	}
	return nil, fmt.Errorf("%s: not %d bytes, nor these in base64 or hexadecimal", path, ed25519.SignatureSize)
}

// readSmall reads a file that may be as large as a signature.
func readSmall(path string) ([]byte, error) {
	f, err := ui.OpenInput(path, format.MaxSignature)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size > format.MaxSignature {
		return nil, fmt.Errorf("%s: %d bytes, too many for a signature", path, f.Size)
	}
	return io.ReadAll(io.NewSectionReader(f, 0, f.Size))
}
