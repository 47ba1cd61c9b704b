// SPDX-License-Identifier: GPL-2.0-or-later

// Package all lists the ports. It is the only place that knows them all.
package all

import (
	"debug/elf"
	"errors"
	"fmt"
	"strings"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/arch/amd64"
	"github.com/ulpatch/ulpatch/arch/arm64"
)

// ErrUnsupported: there is no port for the CPU.
var ErrUnsupported = errors.New("unsupported CPU")

// List returns every port.
func List() []*arch.Arch { return []*arch.Arch{amd64.Arch, arm64.Arch} }

// ByMachine finds a port by e_machine.
func ByMachine(m elf.Machine) (*arch.Arch, error) {
	return find(m.String(), func(a *arch.Arch) bool { return a.Machine == m })
}

// ByName finds a port by the name that GOARCH has for it.
func ByName(name string) (*arch.Arch, error) {
	return find(fmt.Sprintf("%q", name), func(a *arch.Arch) bool { return a.Name == name })
}

func find(wanted string, is func(*arch.Arch) bool) (*arch.Arch, error) {
	var names []string
	for _, a := range List() {
		if is(a) {
			return a, nil
		}
		names = append(names, a.Name)
	}
	return nil, fmt.Errorf("%s: %w; supported: %s", wanted, ErrUnsupported, strings.Join(names, ", "))
}
