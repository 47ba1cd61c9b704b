// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"fmt"

	"golang.org/x/arch/arm64/arm64asm"
	"golang.org/x/arch/x86/x86asm"
)

// disassemble shows the instruction of a function that holds an offset, in the
// syntax of GNU as, with what it refers to; bytes where it cannot be decoded.
func disassemble(fn *atom, off uint64) string {
	if off >= uint64(len(fn.data)) {
		return "end of the function"
	}
	insns := insnCursor{arch: fn.object.arch, code: fn.data}
	if !insns.seek(off) {
		return "bytes " + some(fn.data, off)
	}
	at := uint64(insns.at)
	code, length := masked(fn)[at:], 0
	if in, err := fn.object.arch.Decode(fn.data[at:], 0); err == nil {
		length = in.Len
	}
	text := ""
	switch fn.object.arch.Machine {
	case elf.EM_X86_64:
		if in, err := x86asm.Decode(code, 64); err == nil && in.Len == length {
			text = x86asm.GNUSyntax(in, at, nil)
		}
	case elf.EM_AARCH64:
		if in, err := arm64asm.Decode(code); err == nil {
			text = arm64asm.GNUSyntax(in)
		}
	}
	if text == "" {
		text = fmt.Sprintf("bytes % x", fn.data[at:at+uint64(length)])
	}
	for i := range fn.refs {
		if r := &fn.refs[i]; r.off >= at && r.off < at+uint64(length) {
			text += " # " + describe(r)
		}
	}
	return text
}

// show adds both versions of the first instruction that differs.
func (d *Difference) show(o, f *atom) *Difference {
	if d == nil || o.kind != kindCode || f.kind != kindCode || d.elsewhere {
		return d
	}
	shown := *d
	shown.Old, shown.New = disassemble(o, d.Offset), disassemble(f, d.Offset)
	return &shown
}
