// SPDX-License-Identifier: GPL-2.0-or-later

package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrNoMusl: there is no C library musl for the CPU.
var ErrNoMusl = errors.New("no musl")

// FetchMusl returns the specs file that makes gcc for a CPU compile for musl, from
// the cache if it is there.
func FetchMusl(ctx context.Context, cpu *CPU, log io.Writer) (specs string, err error) {
	if cpu.musl == "" {
		return "", fmt.Errorf("%s: %w", cpu.Name, ErrNoMusl)
	}
	dir, err := cached(muslName(cpu), func(dir string) error { return fillMusl(ctx, cpu, dir, log) })
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "specs"), nil
}

func muslName(cpu *CPU) string { return filepath.Join(cpu.Name, "musl") }

// cachedMusl returns the folder with musl if it is in the cache.
func cachedMusl(cpu *CPU) (string, error) {
	root, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, muslName(cpu))
	if !there(dir) {
		return "", fs.ErrNotExist
	}
	return dir, nil
}

// fillMusl unpacks musl. Its specs name the places where it would be installed,
// and are rewritten for the place where it will be.
func fillMusl(ctx context.Context, cpu *CPU, dir string, log io.Writer) error {
	state := filepath.Join(dir, "apt")
	a, err := newApt(ctx, state, toolSuite, cpu.kernel.arch, log)
	if err != nil {
		return err
	}
	if err := a.download(ctx, dir, false, "musl", "musl-dev", "musl-tools"); err != nil {
		return err
	}
	libraries := filepath.Join("usr/lib", cpu.musl+"-linux-musl")
	// The interpreter is the library by another name, which an installation gives it.
	if err := os.Symlink(filepath.Join(libraries, "libc.so"), filepath.Join(dir, "ld-musl-"+cpu.musl+".so.1")); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, libraries, "musl-gcc.specs"))
	if err != nil {
		return err
	}
	final := strings.TrimSuffix(dir, ".part")
	specs := strings.ReplaceAll(string(text), "/usr/", final+"/usr/")
	if err := os.WriteFile(filepath.Join(dir, "specs"), []byte(specs), 0o644); err != nil {
		return err
	}
	return os.RemoveAll(state)
}
