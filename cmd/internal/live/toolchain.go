// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/ulpatch/ulpatch/cmd/internal/vm"
)

// CPU is what programs are built for, as GOARCH has it: this machine's, or what
// ULPATCH_CPU says where they are only prepared.
func CPU() string {
	if cpu := os.Getenv(cpuVariable); cpu != "" {
		return cpu
	}
	return runtime.GOARCH
}

func crossing() bool { return CPU() != runtime.GOARCH }

// compiler returns the command and first arguments of a compiler for CPU: gcc,
// clang or musl-gcc.
func compiler(name string) ([]string, error) {
	if !crossing() {
		return []string{name}, nil
	}
	cpu, err := vm.ByName(CPU())
	if err != nil {
		return nil, err
	}
	gcc := cpu.Triplet + "-gcc"
	switch name {
	case "gcc":
		return []string{gcc}, nil
	case "clang":
		return []string{"clang", "--target=" + cpu.Triplet}, nil
	case "musl-gcc":
		specs, err := vm.FetchMusl(context.Background(), cpu, os.Stderr)
		return []string{gcc, "-specs", specs}, err
	}
	return nil, fmt.Errorf("%s: no such compiler for %s", name, CPU())
}

func stripper() (string, error) {
	if !crossing() {
		return "strip", nil
	}
	cpu, err := vm.ByName(CPU())
	if err != nil {
		return "", err
	}
	return cpu.Triplet + "-strip", nil
}

// compile runs a compiler in dir.
func compile(dir, name string, args ...string) error {
	cc, err := compiler(name)
	if err != nil {
		return err
	}
	return run(dir, cc[0], append(cc[1:], args...)...)
}

func run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
