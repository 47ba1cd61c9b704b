// SPDX-License-Identifier: GPL-2.0-or-later

package all

import (
	"debug/elf"
	"errors"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

func TestList(t *testing.T) {
	for _, a := range List() {
		if got, err := ByMachine(a.Machine); got != a || err != nil {
			t.Errorf("by machine %v: %v, %v", a.Machine, got, err)
		}
		if got, err := ByName(a.Name); got != a || err != nil {
			t.Errorf("by name %s: %v, %v", a.Name, got, err)
		}
	}
}

func TestUnsupported(t *testing.T) {
	_, byMachine := ByMachine(elf.EM_S390)
	_, byName := ByName("vax")
	for _, err := range []error{byMachine, byName} {
		if !errors.Is(err, ErrUnsupported) {
			t.Fatalf("%v", err)
		}
		for _, a := range List() {
			if !strings.Contains(err.Error(), a.Name) {
				t.Errorf("%q does not name %s", err, a.Name)
			}
		}
	}
	if !strings.HasPrefix(byMachine.Error(), "EM_S390: ") || !strings.HasPrefix(byName.Error(), `"vax": `) {
		t.Errorf("%v; %v", byMachine, byName)
	}
}

// TestComplete holds each port to what the builder and the applier rely on.
func TestComplete(t *testing.T) {
	for _, a := range List() {
		if a.RelocName == nil || a.Decode == nil || a.BranchReloc == nil || a.PCAdjust == nil || a.Relax == nil ||
			a.Jump == nil || a.Stub == nil || a.TPOffset == nil || len(a.TLSDescReturn) == 0 ||
			a.Entry == nil || a.Lands == nil || a.FieldReloc == nil || a.AccessReloc == nil || a.Trampoline == nil ||
			a.EndsInCall == nil || a.Syscall.Restart == nil || len(a.Syscall.Instruction) == 0 ||
			a.SigFrame.Build == nil || a.SigFrame.Enter == nil || (a.Regs.Strip == nil) != (a.Regs.MaskRegset == 0) {
			t.Errorf("%s has a hole", a.Name)
			continue
		}
		for typ, h := range a.Relocs {
			if h.Name != a.RelocName(typ) || h.Name == "" {
				t.Errorf("%s: %q is called %q", a.Name, a.RelocName(typ), h.Name)
			}
			if h.Size > 0 && (h.Field.Put == nil || h.Field.Get == nil) {
				t.Errorf("%s: %s has no field", a.Name, h.Name)
			}
		}
		const from, to = arch.Addr(0x10000000), arch.Addr(0x10100000)
		jump, err := a.Jump(from, to)
		if err != nil || len(jump) != a.JumpSize {
			t.Fatalf("%s: jump % x, %v", a.Name, jump, err)
		}
		if (a.FarJump == nil) != (a.FarJumpSize == 0) || a.FarJump != nil && len(a.FarJump(to)) != a.FarJumpSize {
			t.Errorf("%s: a far jump of %d bytes", a.Name, a.FarJumpSize)
		}
		if !a.Lands(a.TLSDescReturn) {
			t.Errorf("%s: the resolver of descriptors has no landing pad", a.Name)
		}
		stub, err := a.Stub(from, to)
		if err != nil || len(stub) != a.StubSize {
			t.Fatalf("%s: stub % x, %v", a.Name, stub, err)
		}
		if _, ok := a.Relax(^uint32(0), jump, jump, 0); ok {
			t.Errorf("%s: a rewrite for a relocation that does not exist", a.Name)
		}
	}
}
