// SPDX-License-Identifier: GPL-2.0-or-later

package module

import (
	"debug/elf"
	"encoding/binary"

	"github.com/ulpatch/ulpatch/arch"
)

const maxLinkMap = 1 << 16

// Scope is the order in which the dynamic linker searches modules for a symbol
// that image refers to: the program with what was loaded at its start, then
// image's own dependencies, breadth first (gABI, "Shared Object Dependencies").
func Scope(list []*Module, image *Module) []*Module {
	var scope []*Module
	seen := map[*Module]bool{}
	add := func(m *Module) {
		if m != nil && !seen[m] {
			seen[m] = true
			scope = append(scope, m)
		}
	}
	if program := Program(list); program != nil {
		startup := map[*Module]bool{}
		for _, m := range closure(list, program) {
			startup[m] = true
		}
		// What stands in the link map before the last start-up dependency was
		// loaded with it: LD_PRELOAD comes first of all.
		order := linkMap(list, program)
		last := -1
		for i, m := range order {
			if startup[m] {
				last = i
			}
		}
		add(program)
		for _, m := range order[:last+1] {
			if m.Path != vdsoPath {
				add(m)
			}
		}
		for _, m := range closure(list, program) {
			add(m)
		}
	}
	for _, m := range closure(list, image) {
		add(m)
	}
	return scope
}

// MarkProgram says which module is the executable: the one that the kernel told
// the process of in its auxiliary vector (AT_PHDR).
func MarkProgram(list []*Module, phdr arch.Addr) {
	if m := Find(list, phdr); m != nil {
		m.Main = true
	}
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

// linkMap is the dynamic linker's own list, from the program's DT_DEBUG. It is
// empty where there is none.
func linkMap(list []*Module, program *Module) []*Module {
	d, err := program.dynamicSection()
	if err != nil || d.debug == 0 {
		return nil
	}
	word := func(addr arch.Addr) (arch.Addr, bool) {
		var buf [8]byte
		if program.mem.Read(addr, buf[:]) != nil {
			return 0, false
		}
		return arch.Addr(binary.LittleEndian.Uint64(buf[:])), true
	}
	const rMap, lDynamic, lNext = 8, 16, 24 // struct r_debug, struct link_map
	at, ok := word(d.debug + rMap)
	var order []*Module
	for n := 0; ok && at != 0 && n < maxLinkMap; n++ {
		dyn, _ := word(at + lDynamic)
		if m := Find(list, dyn); m != nil {
			order = append(order, m)
		}
		at, ok = word(at + lNext)
	}
	return order
}
