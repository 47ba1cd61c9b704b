// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// drivers are the modules that the guest needs beside what Debian's cloud kernel
// has built in.
var drivers = []string{"virtio_blk", "virtio_net", "vmxnet3"}

// modules are the files of a kernel's modules, by name.
type modules map[string]string

// findModules reads a folder lib/modules/VERSION.
func findModules(dir string) (modules, error) {
	m := modules{}
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if name, _, ok := strings.Cut(filepath.Base(file), ".ko"); ok && err == nil {
			m[moduleName(name)] = file
		}
		return err
	})
	return m, err
}

// moduleName is a module's name as other modules refer to it.
func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// order lists the files of modules and of what they depend on, dependencies
// first.
func (m modules) order(ctx context.Context, names []string) ([]string, error) {
	var files []string
	for _, name := range names {
		file, ok := m[moduleName(name)]
		if !ok {
			return nil, fmt.Errorf("the kernel has no module %s", name)
		}
		needs, err := dependencies(ctx, file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		before, err := m.order(ctx, needs)
		if err != nil {
			return nil, err
		}
		for _, f := range append(before, file) {
			if !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	}
	return files, nil
}

// dependencies reads what a module says of itself in .modinfo: Debian's packages
// have no modules.dep, which is made when they are installed.
func dependencies(ctx context.Context, file string) ([]string, error) {
	data, err := exec.CommandContext(ctx, "xz", "--decompress", "--force", "--stdout", file).Output()
	if err != nil {
		return nil, fmt.Errorf("xz: %w", err)
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, errors.New("no .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for word := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(word, "depends="); ok && list != "" {
			return strings.Split(list, ","), nil
		}
	}
	return nil, nil
}
