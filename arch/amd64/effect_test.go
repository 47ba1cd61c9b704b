// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

// TestEffect: what is said of instructions by which addresses are followed, and
// that nothing is said where more changes than the operands show.
func TestEffect(t *testing.T) {
	const (
		rax, rcx, rdx = 0, 1, 2
		none          = -1
	)
	tests := []struct {
		name   string
		code   []byte
		op     arch.Op
		dst    int // register; none
		access bool
		size   int
		immAt  int
	}{
		{"endbr64", []byte{0xf3, 0x0f, 0x1e, 0xfa}, arch.OpNone, none, false, 0, none},
		{"lea 0(%rip), %rax", []byte{0x48, 0x8d, 0x05, 0, 0, 0, 0}, arch.OpAddress, rax, false, 0, none},
		{"mov (%rax), %ecx", []byte{0x8b, 0x08}, arch.OpMove, rcx, true, 4, none},
		{"mov $0, %ecx", []byte{0xb9, 0, 0, 0, 0}, arch.OpMove, rcx, false, 0, 1},
		{"movabs $0, %rcx", []byte{0x48, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0}, arch.OpMove, rcx, false, 0, 2},
		{"movzbl (%rcx), %edx", []byte{0x0f, 0xb6, 0x11}, arch.OpExtend, rdx, true, 1, none},
		{"and $7, %ecx", []byte{0x83, 0xe1, 7}, arch.OpAnd, rcx, false, 0, -1},
		{"cmp $5, %ecx", []byte{0x83, 0xf9, 5}, arch.OpCompare, rcx, false, 0, -1},
		{"cdqe", []byte{0x48, 0x98}, arch.OpSign, rax, false, 0, none},
		{"cltd", []byte{0x99}, arch.OpUnknown, rdx, false, 0, none},
		{"xor %ecx, %ecx", []byte{0x31, 0xc9}, arch.OpZero, rcx, false, 0, none},
		{"push %rbx", []byte{0x53}, arch.OpUnknown, rsp, false, 0, none},
		{"cmove (%rax), %ecx", []byte{0x0f, 0x44, 0x08}, arch.OpSelect, rcx, true, 4, none},
		{"movdqa (%rax), %xmm0", []byte{0x66, 0x0f, 0x6f, 0x00}, arch.OpNone, none, true, 16, none},
		{"nopl (%rax)", []byte{0x0f, 0x1f, 0x00}, arch.OpNone, none, false, 0, none},
		{"mov %fs:0, %rax", []byte{0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0}, arch.OpUnknown, rax, false, 0, none},
		{"jmp *(%rax)", []byte{0xff, 0x20}, arch.OpNone, none, true, 8, none},
	}
	for _, test := range tests {
		e, ok := oneEffect(test.code)
		dst := none
		if e.Dst.Kind == arch.Register {
			dst = e.Dst.Reg
		}
		if !ok || e.Op != test.op || dst != test.dst || e.Access != test.access || test.access && e.Size != test.size {
			t.Errorf("%s: %+v, %v", test.name, e, ok)
		}
		if test.immAt >= 0 && e.ImmAt != test.immAt {
			t.Errorf("%s: immediate at %d", test.name, e.ImmAt)
		}
	}
	for name, code := range map[string][]byte{
		"pop (%rax)":           {0x8f, 0x00},
		"pop %bx":              {0x66, 0x5b},
		"xchg %rax, (%rcx)":    {0x48, 0x87, 0x01},
		"xadd %eax, (%rcx)":    {0x0f, 0xc1, 0x01},
		"rep movsb":            {0xf3, 0xa4},
		"mul %rcx":             {0x48, 0xf7, 0xe1},
		"div %rcx":             {0x48, 0xf7, 0xf1},
		"mov (%eax), %ecx":     {0x67, 0x8b, 0x08},
		"prefetcht0 (%rax)":    {0x0f, 0x18, 0x08},
		"vmovdqa (%rax),%xmm0": {0xc5, 0xf9, 0x6f, 0x00},
		"syscall":              {0x0f, 0x05},
		"nothing":              {},
	} {
		if e, ok := effect(code); ok || e != nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
	for name, test := range map[string]struct {
		code []byte
		sets []int
	}{
		"pop %rbx": {[]byte{0x5b}, []int{rbx, rsp}},
		"pop %r12": {[]byte{0x41, 0x5c}, []int{r12, rsp}},
		"leave":    {[]byte{0xc9}, []int{rsp, rbp}},
	} {
		steps, ok := effect(test.code)
		if !ok || len(steps) != len(test.sets) {
			t.Fatalf("%s: %+v, %v", name, steps, ok)
		}
		for i, e := range steps {
			if e.Op != arch.OpUnknown || e.Dst.Kind != arch.Register || e.Dst.Reg != test.sets[i] {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
	if v, mask, ok := constant([]byte{0xbe, 9, 0, 0, 0}); !ok || v != 9 || mask[0] != 0 || mask[1] != 0xff {
		t.Errorf("constant: %d, % x, %v", v, mask, ok)
	}
	if _, _, ok := constant([]byte{0x83, 0xc6, 9}); ok {
		t.Error("an addition is a constant")
	}
}
