// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/builder/include"
	"github.com/ulpatch/ulpatch/cmd/internal/ui"
)

func cflagsCommand() *cli.Command {
	return &cli.Command{
		Name:  "cflags",
		Usage: "print the compiler flags for sources that include ulpatch.h",
		Description: "The header has hooks and shadow variables, for sources of the fixed objects:\n" +
			"\n" +
			"   make CFLAGS=\"$CFLAGS $(" + program + " cflags)\"\n" +
			"\n" +
			"It is written to --dir, or, without it, to a folder in the user's cache.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "`FOLDER` to write the header to"},
		},
		Action: cflags,
	}
}

func cflags(c *cli.Context) error {
	if _, err := ui.Args(c); err != nil {
		return err
	}
	dir := c.String("dir")
	if dir == "" {
		if c.IsSet("dir") {
			return ui.Usagef("--dir is empty")
		}
		cache, err := os.UserCacheDir()
		if err != nil {
			return ui.Hint(err, "give a folder with --dir")
		}
		// Each version of the header has a folder of its own.
		dir = filepath.Join(cache, "ulpatch", fmt.Sprintf("include-%.6x", sha256.Sum256(include.Header)))
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if strings.ContainsAny(dir, " \t\n'\"\\$`*?[;&|<>()") {
		return ui.Hint(fmt.Errorf("%q: a shell would take that for something else", dir), "give another folder with --dir")
	}
	if err := writeHeader(dir); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "-I%s\n", dir)
	return err
}

// writeHeader writes the header unless it is there: a compiler may be reading it.
func writeHeader(dir string) error {
	path := filepath.Join(dir, include.Name)
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, include.Header) {
		return nil
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return ui.WriteFile(path, include.Header, 0o666)
}
