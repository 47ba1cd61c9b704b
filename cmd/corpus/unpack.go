// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// unpack writes the folders, files and hard links of a .tar.zst below dir. os.Root keeps
// every name inside.
func unpack(archive, dir string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	// The archives are made with --long=27: a window of 128 MiB.
	decoder, err := zstd.NewReader(file, zstd.WithDecoderMaxWindow(128<<20))
	if err != nil {
		return err
	}
	defer decoder.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()

	entries := tar.NewReader(decoder)
	for {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Clean(entry.Name)
		switch entry.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeReg:
			err = writeFile(root, name, entry.FileInfo().Mode().Perm(), entries)
		case tar.TypeLink:
			err = link(root, filepath.Clean(entry.Linkname), name)
		default:
			err = fmt.Errorf("%s: neither file nor folder", name)
		}
		if err != nil {
			return err
		}
	}
}

func writeFile(root *os.Root, name string, mode os.FileMode, content io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

func link(root *os.Root, existing, name string) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return root.Link(existing, name)
}
