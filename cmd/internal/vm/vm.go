// SPDX-License-Identifier: GPL-2.0-or-later

// Package vm runs a program under a real kernel of another CPU, in an emulated
// machine: an initramfs that is made on the spot, Debian's kernel, QEMU, and the
// program's exit status back. User-mode emulation would not do, for it knows no
// ptrace.
//
// What is fetched is Debian's, from the mirror that the machine itself uses, and
// is kept in a cache outside the tree (see CacheDir). The package installs
// nothing on the machine: what is missing there is an error that names it.
package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// CPU says how a machine of a kind is built and booted.
type CPU struct {
	Name    string // as GOARCH has it
	Triplet string // of Debian's cross compiler and its libraries

	qemu    string   // the emulator's command
	machine []string // its arguments
	console string   // the kernel's name for the first serial line
	append  string   // what else the kernel has to be told
	kernel  kernelPackage
	tools   []string // packages of a newer Debian for the emulator and libraries; none: the machine's own
	musl    string   // the C library's name for the CPU, where there are packages of it
}

var cpus = []*CPU{
	{
		Name: "amd64", Triplet: "x86_64-linux-gnu",
		qemu: "qemu-system-x86_64", machine: []string{"-M", "q35", "-cpu", "max"}, console: "ttyS0",
		kernel: kernelPackage{suite: "trixie", arch: "amd64", meta: "linux-image-cloud-amd64"},
		musl:   "x86_64",
	},
	{
		Name: "arm64", Triplet: "aarch64-linux-gnu",
		qemu: "qemu-system-aarch64", machine: []string{"-M", "virt,gic-version=3", "-cpu", "max,pauth-impdef=on"}, console: "ttyAMA0",
		kernel: kernelPackage{suite: "trixie", arch: "arm64", meta: "linux-image-cloud-arm64"},
		musl:   "aarch64",
	},
	{
		Name: "riscv64", Triplet: "riscv64-linux-gnu",
		qemu: "qemu-system-riscv64", machine: []string{"-M", "virt", "-cpu", "rv64"}, console: "ttyS0",
		kernel: kernelPackage{suite: "trixie", arch: "riscv64", meta: "linux-image-riscv64"},
	},
	{
		Name: "loong64", Triplet: "loongarch64-linux-gnu",
		qemu: "qemu-system-loongarch64", machine: []string{"-M", "virt", "-cpu", "la464"}, console: "ttyS0",
		append: "initcall_blacklist=i8042_init", // no such controller, where the machine is described by a device tree
		kernel: kernelPackage{suite: "sid", arch: "loong64", meta: "linux-image-loong64", prefix: "linux-binary-"},
		tools:  []string{"qemu-system-misc", "gcc-14-loongarch64-linux-gnu", "libc6-dev-loong64-cross"},
	},
}

// ErrUnknownCPU: no machine of that kind is known.
var ErrUnknownCPU = errors.New("unknown CPU")

// ByName finds a CPU by the name that GOARCH has for it.
func ByName(name string) (*CPU, error) {
	i := slices.IndexFunc(cpus, func(c *CPU) bool { return c.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%q: %w; known: %s", name, ErrUnknownCPU, strings.Join(Names(), ", "))
	}
	return cpus[i], nil
}

// Names lists the CPUs.
func Names() []string {
	var names []string
	for _, c := range cpus {
		names = append(names, c.Name)
	}
	return names
}

// emulator returns the command that runs the CPU's machine, without the machine's
// arguments.
func (c *CPU) emulator(ctx context.Context, log io.Writer) ([]string, error) {
	if len(c.tools) > 0 {
		return c.foreignEmulator(ctx, log)
	}
	path, err := exec.LookPath(c.qemu)
	if err != nil {
		return nil, fmt.Errorf("%w: install it (make setup-vm CPU=%s), %s is run in it", err, c.Name, c.Name)
	}
	return []string{path}, nil
}

// Libraries returns the folders in which the interpreter and the shared libraries
// of dynamic programs for the CPU are, in the order in which they are searched.
func (c *CPU) Libraries(ctx context.Context, log io.Writer) ([]string, error) {
	var folders []string
	switch {
	case c.Name == "amd64":
		folders = []string{"/lib/" + c.Triplet, "/usr/lib/" + c.Triplet, "/lib64"}
	case len(c.tools) > 0:
		prefix, err := c.foreignTools(ctx, log)
		if err != nil {
			return nil, err
		}
		folders = []string{filepath.Join(prefix, "usr", c.Triplet, "lib")}
	default:
		folders = []string{filepath.Join("/usr", c.Triplet, "lib")}
	}
	if c.musl != "" {
		if dir, err := cachedMusl(c); err == nil {
			folders = append(folders, dir)
		}
	}
	return folders, nil
}
