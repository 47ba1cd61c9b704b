// SPDX-License-Identifier: GPL-2.0-or-later

package vm

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// kernelPackage says where a kernel comes from. Versions vanish from suites that
// are still developed, so what is named is the package that depends on the newest.
type kernelPackage struct {
	suite, arch, meta string
	prefix            string // of the package that has the kernel, where that is not linux-image-
}

// Kernel is a kernel in the cache.
type Kernel struct {
	Image   string // that QEMU boots
	Modules string // the folder lib/modules/VERSION of its package, without modules.dep
	Version string
}

// FetchKernel returns the kernel for a CPU, from the cache if it is there.
func FetchKernel(ctx context.Context, cpu *CPU, log io.Writer) (*Kernel, error) {
	dir, err := cached(filepath.Join(cpu.Name, "kernel"), func(dir string) error {
		return fillKernel(ctx, cpu.kernel, dir, log)
	})
	if err != nil {
		return nil, err
	}
	modules, err := filepath.Glob(filepath.Join(dir, "modules", "*"))
	if err != nil || len(modules) != 1 {
		return nil, fmt.Errorf("%s: incomplete; remove it", dir)
	}
	return &Kernel{Image: filepath.Join(dir, "image"), Modules: modules[0], Version: filepath.Base(modules[0])}, nil
}

func fillKernel(ctx context.Context, p kernelPackage, dir string, log io.Writer) error {
	state := filepath.Join(dir, "apt")
	a, err := newApt(ctx, state, p.suite, p.arch, log)
	if err != nil {
		return err
	}
	const image = "linux-image-"
	name, err := a.newest(ctx, p.meta, image)
	if err != nil {
		return err
	}
	if p.prefix != "" {
		name = p.prefix + strings.TrimPrefix(name, image)
	}
	name, _, _ = strings.Cut(name, ":")
	unpacked := filepath.Join(dir, "package")
	if err := a.download(ctx, unpacked, false, name); err != nil {
		return err
	}
	raw, err := bootFile(unpacked)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	bootable, err := unwrapZboot(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "image"), bootable, 0o644); err != nil {
		return err
	}
	modules, err := moduleFolder(unpacked)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := os.Rename(modules, filepath.Join(dir, "modules")); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(unpacked), os.RemoveAll(state))
}

func bootFile(unpacked string) ([]byte, error) {
	for _, pattern := range []string{"boot/vmlinuz-*", "boot/vmlinux-*", "usr/lib/modules/*/vmlinuz"} {
		if found, err := filepath.Glob(filepath.Join(unpacked, pattern)); err == nil && len(found) == 1 {
			return os.ReadFile(found[0])
		}
	}
	return nil, errors.New("no kernel in the package")
}

// moduleFolder finds the modules, or makes an empty folder for a package that has
// them elsewhere, whose kernel's file has the version in its name.
func moduleFolder(unpacked string) (string, error) {
	for _, folder := range []string{"lib/modules", "usr/lib/modules"} {
		dir := filepath.Join(unpacked, folder)
		if _, err := os.Stat(dir); err == nil {
			return dir, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	found, err := filepath.Glob(filepath.Join(unpacked, "boot/vmlinu*-*"))
	if err != nil || len(found) != 1 {
		return "", errors.New("neither modules nor a kernel of one version")
	}
	_, version, _ := strings.Cut(filepath.Base(found[0]), "-")
	dir := filepath.Join(unpacked, "lib/modules")
	return dir, os.MkdirAll(filepath.Join(dir, version), 0o755)
}

// unwrapZboot returns the kernel within an EFI image that unpacks itself
// (the kernel's drivers/firmware/efi/libstub/zboot-header.S), which only firmware
// can start; anything else it returns as it is.
func unwrapZboot(image []byte) ([]byte, error) {
	const headerSize = 64
	if len(image) < headerSize || string(image[:2]) != "MZ" || string(image[4:8]) != "zimg" {
		return image, nil
	}
	offset, size := binary.LittleEndian.Uint32(image[8:]), binary.LittleEndian.Uint32(image[12:])
	kind := string(bytes.TrimRight(image[24:56], "\x00"))
	if uint64(offset)+uint64(size) > uint64(len(image)) {
		return nil, errors.New("zboot: payload beyond the end")
	}
	packed := bytes.NewReader(image[offset : offset+size])
	switch kind {
	case "gzip":
		z, err := gzip.NewReader(packed)
		if err != nil {
			return nil, fmt.Errorf("zboot: %w", err)
		}
		z.Multistream(false) // behind it is its size
		return io.ReadAll(z)
	case "zstd", "zstd22":
		z, err := zstd.NewReader(packed)
		if err != nil {
			return nil, fmt.Errorf("zboot: %w", err)
		}
		defer z.Close()
		out, err := io.ReadAll(z)
		// Behind the frame are four bytes with the size of what is in it.
		if err != nil && len(out) > 0 && len(out) == trailingSize(image[offset:offset+size]) {
			err = nil
		}
		return out, err
	}
	return nil, fmt.Errorf("zboot: compressed with %q", kind)
}

func trailingSize(packed []byte) int {
	if len(packed) < 4 {
		return -1
	}
	return int(binary.LittleEndian.Uint32(packed[len(packed)-4:]))
}
