// SPDX-License-Identifier: GPL-2.0-or-later

package vm

import (
	"context"
	"io"
	"os"
	"path/filepath"
)

// foreignTools returns the folder with an emulator, a compiler and libraries for a
// CPU that the machine's own Debian does not know, from the cache if it is there.
func (c *CPU) foreignTools(ctx context.Context, log io.Writer) (string, error) {
	return cached(filepath.Join(c.Name, "tools"), func(dir string) error {
		return fillTools(ctx, c, dir, log)
	})
}

// toolSuite is the Debian that the tools come from.
const toolSuite = "trixie"

func fillTools(ctx context.Context, cpu *CPU, dir string, log io.Writer) error {
	state := filepath.Join(dir, "apt")
	a, err := newApt(ctx, state, toolSuite, "amd64", log)
	if err != nil {
		return err
	}
	if err := a.download(ctx, dir, true, cpu.tools...); err != nil {
		return err
	}
	// The links of a merged /usr are in a package that nothing depends on.
	for _, name := range []string{"bin", "lib", "lib64"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			continue
		}
		if err := os.Symlink(filepath.Join("usr", name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return os.RemoveAll(state)
}

// foreignEmulator runs the emulator of another Debian with that one's libraries.
func (c *CPU) foreignEmulator(ctx context.Context, log io.Writer) ([]string, error) {
	dir, err := c.foreignTools(ctx, log)
	if err != nil {
		return nil, err
	}
	return []string{
		filepath.Join(dir, "usr/lib64/ld-linux-x86-64.so.2"),
		"--library-path", filepath.Join(dir, "usr/lib/x86_64-linux-gnu"),
		filepath.Join(dir, "usr/bin", c.qemu),
		"-L", filepath.Join(dir, "usr/share/qemu"),
	}, nil
}
