// SPDX-License-Identifier: GPL-2.0-or-later

package ui

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Stdio is the path that stands for standard input or output.
const Stdio = "-"

// Named is how messages name a file.
func Named(path string) string {
	if path == Stdio {
		return "standard input"
	}
	return path
}

// Input is a file that can be read at any place.
type Input struct {
	*os.File
	Size int64 // bytes
}

// OpenInput opens a regular file. "-" is standard input, of which at most limit
// bytes are put into a temporary file without a name.
func OpenInput(path string, limit int64) (*Input, error) {
	if path == Stdio {
		return spool(os.Stdin, limit)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return &Input{f, info.Size()}, nil
}

func spool(r io.Reader, limit int64) (*Input, error) {
	f, err := unnamed()
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(f, io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", Named(Stdio), err), f.Close())
	}
	return &Input{f, n}, nil
}

// unnamed is a temporary file that is gone once it is closed, however the
// program ends.
func unnamed() (*os.File, error) {
	dir := os.TempDir()
	f, err := os.OpenFile(dir, os.O_RDWR|unix.O_TMPFILE, 0o600)
	if err == nil {
		return f, nil
	}
	if f, err = os.CreateTemp(dir, ".ulpatch."); err != nil { // no O_TMPFILE on this file system
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// WriteOutput is WriteFile, where "-" is stdout: that of the program, as commands
// are given it.
func WriteOutput(stdout io.Writer, path string, data []byte) error {
	if path != Stdio {
		return WriteFile(path, data, 0o666)
	}
	w := stdout
	if r, ok := w.(*results); ok {
		w = r.w
	}
	if IsTerminal(w) {
		return errors.New("standard output is a terminal, and this is no text")
	}
	_, err := stdout.Write(data)
	return err
}
