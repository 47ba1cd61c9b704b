// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"bytes"
	"debug/elf"

	"github.com/ulpatch/ulpatch/arch"
)

// entry leaves endbr64 where it is: it does nothing else.
func entry(code []byte) arch.Entry {
	if lands(code) {
		return arch.Entry{Skip: len(landingPad)}
	}
	return arch.Entry{}
}

func lands(code []byte) bool { return bytes.HasPrefix(code, landingPad) }

// fieldReloc: of branches assemblers make PLT32, whether or not they are calls.
func fieldReloc(code []byte) (uint32, bool) {
	insn, err := decode(code, 0)
	if err != nil || !insn.PCRel {
		return 0, false
	}
	switch {
	case insn.FieldLen == 1:
		return uint32(elf.R_X86_64_PC8), true
	case insn.Kind == arch.Call || insn.Kind == arch.Jump || insn.Kind == arch.CondJump:
		return uint32(elf.R_X86_64_PLT32), true
	}
	return uint32(elf.R_X86_64_PC32), true
}

// trampoline knows the entries of all linkers' PLTs, whose jump may be behind
// endbr64 and mold's mov of a number to %r11d, and may have a bnd prefix. There
// are no thunks on this CPU.
func trampoline(code []byte, at arch.Addr) (arch.Trampoline, bool) {
	skip := entry(code).Skip
	if bytes.HasPrefix(code[skip:], []byte{0x41, 0xbb}) {
		skip = min(skip+6, len(code))
	}
	insn, err := decode(code[skip:], at+arch.Addr(skip))
	if err != nil || insn.Kind != arch.IndirectJump || !insn.PCRel {
		return arch.Trampoline{}, false
	}
	return arch.Trampoline{Len: skip + insn.Len, To: insn.Target, Slot: true}, true
}
