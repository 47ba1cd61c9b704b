// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/ptrace"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/arch/amd64"
	"github.com/ulpatch/ulpatch/arch/arm64"
)

// TestWithoutInformation: a thread in code without call-frame information, which
// has been called from a zone. Its return address may be in any register, or on
// the stack, and signed.
func TestWithoutInformation(t *testing.T) {
	const signature, stackAt = arch.Addr(0x2a) << 48, arch.Addr(0x7000000)
	const back = textAt + 12 // behind the call
	p := onArm64(64, aNop, aNop, 0x94000100)
	p.v.maps = append(p.v.maps, proc.Mapping{Start: stackAt, End: stackAt + 4096, Perms: "rw-p"})
	stack := make([]byte, 4096)
	p.mem.mappings[stackAt] = stack
	p.v.masks = make([]byte, arm64.Arch.Regs.MaskSize)
	binary.LittleEndian.PutUint64(p.v.masks[8:], 0x7f<<48)
	pl, err := p.plan()
	if err != nil {
		t.Fatal(err)
	}
	c := newChecker(p.v, p.mem, pl.quiet)
	c.chain = newChain(&codeMap{arch: arm64.Arch}, nil, c.unwinder, nil)
	for _, at := range []struct {
		name string
		reg  int // -1: on the stack
		word arch.Addr
		want string
	}{
		{"elsewhere", 30, textAt + 16, ""},
		{"x30", 30, back, "in a register"},
		{"x30, signed", 30, back | signature, "in a register"},
		{"x10, signed", 10, back | signature, "in a register"},
		{"stack", -1, back, "found by scanning"},
		{"stack, signed", -1, back | signature, "found by scanning"},
		{"signed by other bits", -1, back | 1<<47, ""},
	} {
		regs := make([]byte, arm64.Arch.Regs.Size)
		le := binary.LittleEndian
		le.PutUint64(regs[arm64.Arch.Regs.PC:], 0x9000000)
		le.PutUint64(regs[arm64.Arch.Regs.SP:], uint64(stackAt+64))
		clear(stack)
		if at.reg < 0 {
			le.PutUint64(stack[128:], uint64(at.word))
		} else {
			le.PutUint64(regs[arm64.Arch.Regs.DWARF[at.reg]:], uint64(at.word))
		}
		err := c.check(&thread{Thread: &ptrace.Thread{TID: 1}, regs: regs})
		if (err == nil) != (at.want == "") || err != nil && !strings.Contains(err.Error(), at.want) {
			t.Errorf("%s: %v, want %q", at.name, err, at.want)
		}
	}
	// A stack that was walked to its end, which is that of its mapping.
	regs := make([]byte, arm64.Arch.Regs.Size)
	binary.LittleEndian.PutUint64(regs[arm64.Arch.Regs.SP:], uint64(stackAt+4000))
	th := &thread{Thread: &ptrace.Thread{TID: 1}, regs: regs}
	if o := c.scan(th, stackAt+4096); o != nil {
		t.Errorf("at the end of the stack: %v", o)
	}
	if o := c.scan(th, stackAt+8192); o == nil {
		t.Error("beyond the stack: nothing is known of it")
	}
	if got := p.v.signature(); got != 0x7f<<48 {
		t.Errorf("signatures have the bits %#x", got)
	}
	if p.v.masks = nil; p.v.signature() != 0 {
		t.Error("signatures without masks")
	}
}

// TestInSyscall: where a register tells it, and where the kernel has taken the
// thread back to the instruction.
func TestInSyscall(t *testing.T) {
	mem := &fakeMemory{mappings: map[arch.Addr][]byte{textAt: insns(aNop, 0xd4000001, aRet)}}
	for off, want := range map[arch.Addr]bool{0: false, 4: true, 8: false} {
		regs := make([]byte, arm64.Arch.Regs.Size)
		binary.LittleEndian.PutUint64(regs[arm64.Arch.Regs.PC:], uint64(textAt+off))
		c := &checker{arch: arm64.Arch, mem: mem}
		if got := c.inSyscall(&thread{regs: regs}); got != want {
			t.Errorf("at +%d: %v", off, got)
		}
	}
	for nr, want := range map[uint64]bool{0: true, 7: true, ^uint64(0): false} {
		regs := make([]byte, amd64.Arch.Regs.Size)
		binary.LittleEndian.PutUint64(regs[amd64.Arch.Syscall.Never:], nr)
		c := &checker{arch: amd64.Arch, mem: mem}
		if got := c.inSyscall(&thread{regs: regs}); got != want {
			t.Errorf("call %#x: %v", nr, got)
		}
	}
}
