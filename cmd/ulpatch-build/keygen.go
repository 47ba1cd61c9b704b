// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/keys"
)

func keygenCommand() *cli.Command {
	return &cli.Command{
		Name:  "keygen",
		Usage: "make a key pair: NAME.key to sign with, NAME.pub to trust",
		Description: "The secret key is encrypted with a password, which is asked for on the terminal\n" +
			"or read from the file that " + keys.PasswordFile + " names.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "o", Usage: "write `NAME`.key and NAME.pub"},
			&cli.BoolFlag{Name: "no-password", Usage: "leave the secret key unencrypted"},
			&cli.StringFlag{Name: "public", Usage: "write NAME.pub alone, of the Ed25519 public key in `FILE` (PEM), whose secret half is elsewhere"},
		},
		Action: keygen,
	}
}

func keygen(c *cli.Context) error {
	if _, err := ui.Args(c); err != nil {
		return err
	}
	name, err := ui.Required(c, "o")
	if err != nil {
		return err
	}
	if foreign := c.String("public"); foreign != "" {
		return importKey(c, foreign, name+".pub")
	}
	secretPath, publicPath := name+".key", name+".pub"
	for _, path := range []string{secretPath, publicPath} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return keepKeys(path, err)
		}
	}
	password := ""
	if !c.Bool("no-password") {
		if password, err = keys.NewPassword(); err != nil {
			return ui.Hint(err, "--no-password leaves the key unencrypted")
		}
	}
	key, err := keys.Generate()
	if err != nil {
		return err
	}
	if err := writePair(key, password, secretPath, publicPath); err != nil {
		return err
	}
	fmt.Fprintf(c.App.Writer, "%s: keep it secret, sign with it\n%s: give it to those who shall trust key %s\n",
		secretPath, publicPath, format.KeyID(key.ID()))
	return nil
}

// importKey writes the public half of a key that is in an HSM or a KMS.
func importKey(c *cli.Context, foreign, path string) error {
	key, err := keys.ReadForeign(foreign)
	if err != nil {
		return err
	}
	text, err := keys.EncodePublic(key)
	if err != nil {
		return err
	}
	if err := ui.CreateFile(path, text, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(c.App.Writer, "%s: give it to those who shall trust key %s\n", path, format.KeyID(key.ID()))
	return nil
}

// keepKeys is the error for a key file that is there, or cannot be looked at.
func keepKeys(path string, err error) error {
	if err != nil {
		return err
	}
	return ui.Hint(fmt.Errorf("%s: %w", path, fs.ErrExist), "a key that is in use must not be lost: choose another name")
}

// writePair writes both files or none.
func writePair(key format.PrivateKey, password, secretPath, publicPath string) error {
	secret, err := keys.EncodeSecret(key, password)
	if err != nil {
		return err
	}
	public, err := keys.EncodePublic(keys.Public(key))
	if err != nil {
		return err
	}
	if err := ui.CreateFile(publicPath, public, 0o644); err != nil {
		return err
	}
	if err := ui.CreateFile(secretPath, secret, 0o600); err != nil {
		return errors.Join(err, os.Remove(publicPath))
	}
	return nil
}
