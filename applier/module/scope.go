// SPDX-License-Identifier: GPL-2.0-or-later

package module

import (
	"debug/elf"
	"encoding/binary"
	"slices"

	"github.com/ulpatch/ulpatch/arch"
)

const (
	maxLinkMap    = 1 << 16
	maxNamespaces = 64
)

// Scope is the order in which the dynamic linker searches modules for a symbol
// that image refers to: the program with what was loaded at its start, then
// image's own dependencies, breadth first (gABI, "Shared Object Dependencies").
// An image in a namespace of its own (dlmopen) sees that namespace only.
func Scope(list []*Module, image *Module) []*Module {
	var scope []*Module
	seen := map[*Module]bool{}
	add := func(modules []*Module) {
		for _, m := range modules {
			if !seen[m] && m.Path != vdsoPath {
				seen[m] = true
				scope = append(scope, m)
			}
		}
	}
	program := Program(list)
	if program == nil {
		return closure(list, image)
	}
	spaces := namespaces(list, program)
	home := slices.IndexFunc(spaces, func(space []*Module) bool { return slices.Contains(space, image) })
	switch {
	case len(spaces) == 0:
		add(closure(list, program))
		add(closure(list, image))
	case home < 0 || image.Path == vdsoPath: // in a namespace that cannot be seen
		add([]*Module{image})
	case home == 0:
		space := spaces[0]
		startup := closure(space, program)
		// What stands in the link map before the last start-up dependency was
		// loaded with it: LD_PRELOAD comes first of all.
		last := -1
		for i, m := range space {
			if slices.Contains(startup, m) {
				last = i
			}
		}
		add([]*Module{program})
		add(space[:last+1])
		add(startup)
		add(closure(space, image))
	default:
		space := spaces[home]
		add(closure(space, space[0])) // what dlmopen was asked for
		add(closure(space, image))
	}
	return scope
}

// MarkProgram says which module is the executable: the one that the kernel told
// the process of in its auxiliary vector (AT_PHDR). A dynamic linker that was
// run as a command, to run another program, is none.
func MarkProgram(list []*Module, phdr arch.Addr) {
	m := Find(list, phdr)
	if m == nil {
		return
	}
	_, dynamic := m.Prog(elf.PT_INTERP)
	m.Main = m.Type == elf.ET_EXEC || dynamic || m.isPIE()
}

// isPIE tells a position-independent executable, a static one too.
func (m *Module) isPIE() bool {
	d, err := m.dynamicSection()
	return err == nil && d.flags1&uint64(elf.DF_1_PIE) != 0
}

// Program is the module of the executable: the one that is marked, or else the
// one that looks like it.
func Program(list []*Module) *Module {
	for _, m := range list {
		if m.Main {
			return m
		}
	}
	for _, m := range list {
		if m.Type == elf.ET_EXEC {
			return m
		}
	}
	for _, m := range list {
		// A position-independent executable has an interpreter, or at least no
		// name to be needed by and a DT_DEBUG for debuggers.
		if _, ok := m.Prog(elf.PT_INTERP); ok {
			if d, err := m.dynamicSection(); err == nil && d.debug != 0 {
				return m
			}
		}
	}
	for _, m := range list { // a static one
		if m.isPIE() {
			return m
		}
	}
	return nil
}

// closure is a module and its dependencies, breadth first.
func closure(list []*Module, root *Module) []*Module {
	bySoname := map[string]*Module{}
	for _, m := range list {
		if name := m.Soname(); bySoname[name] == nil {
			bySoname[name] = m
		}
		if name := m.Name(); bySoname[name] == nil {
			bySoname[name] = m
		}
	}
	order := []*Module{root}
	seen := map[*Module]bool{root: true}
	for i := 0; i < len(order); i++ {
		for _, name := range order[i].Needed() {
			if m := bySoname[base(name)]; m != nil && !seen[m] {
				seen[m] = true
				order = append(order, m)
			}
		}
	}
	return order
}

func base(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}

// namespaces are the dynamic linker's own lists, from the program's DT_DEBUG: the
// first is the program's. There are none in a static program.
func namespaces(list []*Module, program *Module) [][]*Module {
	d, err := program.dynamicSection()
	if err != nil || d.debug == 0 {
		return nil
	}
	const rMap, rNext, rSize = 8, 40, 48 // struct r_debug_extended, <link.h>
	const withNext = 2                   // r_version
	var spaces [][]*Module
	for at := d.debug; at != 0 && len(spaces) < maxNamespaces; {
		var debug [rSize]byte
		if program.mem.Read(at, debug[:rNext]) != nil {
			break
		}
		le := binary.LittleEndian
		if space := linkMap(list, program.mem, arch.Addr(le.Uint64(debug[rMap:]))); len(space) > 0 {
			spaces = append(spaces, space)
		}
		if le.Uint32(debug[:]) < withNext || program.mem.Read(at, debug[:]) != nil {
			break
		}
		at = arch.Addr(le.Uint64(debug[rNext:]))
	}
	return spaces
}

// linkMap is the modules of a list of struct link_map.
func linkMap(list []*Module, mem Memory, at arch.Addr) []*Module {
	const lDynamic, lNext, size = 16, 24, 32
	var order []*Module
	for n := 0; at != 0 && n < maxLinkMap; n++ {
		var entry [size]byte
		if mem.Read(at, entry[:]) != nil {
			break
		}
		if m := Find(list, arch.Addr(binary.LittleEndian.Uint64(entry[lDynamic:]))); m != nil {
			order = append(order, m)
		}
		at = arch.Addr(binary.LittleEndian.Uint64(entry[lNext:]))
	}
	return order
}
