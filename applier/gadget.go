// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"debug/elf"
	"sort"

	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/arch"
)

// gadgets are code of the process that a borrowed thread runs: a system-call
// instruction with a return behind it, and the code that returns from a signal
// handler.
type gadgets struct {
	syscall, restorer arch.Addr
	room              arch.Addr // bytes of stack that further code takes, if it is to run any
	waiting           bool      // a thread in a timed wait will do for that, too
}

const maxCode = 512 << 20

// findGadgets searches the code of modules, the dynamic linker's and the C
// library's first: they are never unloaded.
func findGadgets(v *view, mem module.Memory) (gadgets, error) {
	order := append([]*module.Module(nil), v.modules...)
	sort.SliceStable(order, func(i, j int) bool { return rank(order[i]) < rank(order[j]) })
	var g gadgets
	for _, m := range order {
		for _, p := range m.Progs {
			if p.Type != elf.PT_LOAD || p.Flags&elf.PF_X == 0 || p.Filesz > maxCode {
				continue
			}
			code := make([]byte, p.Filesz)
			if mem.Read(m.Addr(p.Vaddr), code) != nil {
				continue
			}
			find(&g.syscall, code, m.Addr(p.Vaddr), v.arch.Syscall.Gadgets)
			find(&g.restorer, code, m.Addr(p.Vaddr), v.arch.Syscall.Restorers)
			if g.syscall != 0 && g.restorer != 0 {
				return g, nil
			}
		}
	}
	return g, refused("no code of the process makes a system call and returns, or returns from a signal handler")
}

func rank(m *module.Module) int {
	name := m.Name()
	for i, prefix := range []string{"libc.so", "libc-", "ld-", "[vdso]"} {
		if len(name) >= len(prefix) && name[:len(prefix)] == prefix {
			return i
		}
	}
	return 100
}

func find(at *arch.Addr, code []byte, start arch.Addr, patterns [][]byte) {
	for _, pattern := range patterns {
		if i := bytes.Index(code, pattern); *at == 0 && i >= 0 {
			*at = start + arch.Addr(i)
		}
	}
}
