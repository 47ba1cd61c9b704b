// SPDX-License-Identifier: GPL-2.0-or-later

package unwind

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/arch/arm64"
)

// segments is memory by the start of each segment.
type segments map[arch.Addr][]byte

func (m segments) Read(addr arch.Addr, p []byte) error {
	for start, data := range m {
		if off := uint64(addr - start); addr >= start && off+uint64(len(p)) <= uint64(len(data)) {
			copy(p, data[off:])
			return nil
		}
	}
	return io.EOF
}

const (
	x29, x30, sp31 = 29, 30, 31
	signature      = arch.Addr(0x15) << 48
	restorer       = arch.Addr(0x8000)
)

// linked is a program for aarch64 whose functions sign their return addresses,
// and a thread in it.
type linked struct {
	table *Table
	mem   segments
	regs  []byte
	masks []byte
}

func (l *linked) put(at arch.Addr, word arch.Addr) {
	for start, data := range l.mem {
		if at >= start && at < start+arch.Addr(len(data)) {
			binary.LittleEndian.PutUint64(data[at-start:], uint64(word))
		}
	}
}

func (l *linked) set(reg int, value arch.Addr) {
	binary.LittleEndian.PutUint64(l.regs[arm64.Arch.Regs.DWARF[reg]:], uint64(value))
}

// walk starts from a program counter and a stack pointer.
func (l *linked) walk(pc, sp arch.Addr) (frames []Frame, u *Unwinder, rest arch.Addr, err error) {
	l.set(sp31, sp)
	l.set(arm64.Arch.Regs.DWARFPC, pc)
	u = New(arm64.Arch, l.mem, []*Table{l.table})
	u.Masks(l.masks)
	rest, err = u.Walk(l.regs, func(f Frame) bool { frames = append(frames, f); return true })
	return frames, u, rest, err
}

const stackAt = arch.Addr(0x7000)

func newLinked(t *testing.T) *linked {
	t.Helper()
	var s section
	// Code alignment 4, data alignment -8, return address in x30; CFA is sp.
	cie := func(augmentation string, rest ...byte) int {
		body := append([]byte{0, 0, 0, 0, 1}, augmentation...)
		return s.entry(append(append(append(body, 0, 4, 0x78, x30), rest...), cfaDef, sp31, 0)...)
	}
	plain, signal := cie("zR", 1, 0), cie("zRS", 1, 0)
	// A leaf that signs, and never stores, its return address.
	s.fde(plain, code, 16, 0, 0x41, cfaNegateRAState, 0x42, cfaDefOffset, 16)
	// A function with a frame of 32 bytes: paciasp; stp x29, x30, [sp, -32]!
	s.fde(plain, code+16, 16, 0, 0x41, cfaNegateRAStatePC, 0x41, cfaDefOffset, 32, 0x80|x29, 4, 0x80|x30, 3)
	s.fde(plain, code+32, 16, 0)                   // another leaf
	s.fde(plain, code+48, 16, 0, cfaUndefined, 30) // where a thread begins
	// What older kernels say of their code that returns from a handler: the caller
	// of the function that was interrupted is next.
	s.fde(signal, restorer-16, 24, 0, cfaDefOffset, 16, 0x80|x30, 1)
	table, err := Parse(s.data, 0x100, 0, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	masks := make([]byte, arm64.Arch.Regs.MaskSize)
	binary.LittleEndian.PutUint64(masks[8:], 0x7f<<48)
	vdso := append([]byte{0x1f, 0x20, 0x03, 0xd5}, arm64.Arch.Syscall.Restorers[0]...) // nop first
	return &linked{
		table: table, masks: masks, regs: make([]byte, arm64.Arch.Regs.Size),
		mem: segments{stackAt: make([]byte, 4096), restorer - 4: vdso},
	}
}

// TestSigned: return addresses that are signed, in a register, on the stack and in
// a signal frame.
func TestSigned(t *testing.T) {
	l := newLinked(t)
	l.set(x30, (code+28)|signature)
	l.put(stackAt+8, restorer|signature) // of the second function, the handler
	frame := stackAt + 32
	saved := arm64.Arch.SigFrame.Saved
	resumed := stackAt + 1024
	l.put(frame+arch.Addr(saved[arm64.Arch.Regs.DWARFPC]), code+32) // interrupted at its start
	l.put(frame+arch.Addr(saved[x30]), (code+28)|signature)
	l.put(frame+arch.Addr(saved[sp31]), resumed)
	l.put(resumed+8, code+52|signature)
	frames, _, rest, err := l.walk(code+8, stackAt)
	want := []Frame{
		{code + 8, true, stackAt}, {code + 28, false, stackAt + 32}, {restorer, false, stackAt + 32},
		{code + 32, true, resumed}, {code + 28, false, resumed + 32}, {code + 52, false, resumed + 32},
	}
	if err != nil || rest != 0 || !slices.Equal(frames, want) {
		t.Errorf("%+v, rest %#x, %v\nwant %+v", frames, uint64(rest), err, want)
	}
	l.masks = nil
	if frames, _, _, err := l.walk(code+8, stackAt); !errors.Is(err, ErrTruncated) || len(frames) != 2 {
		t.Errorf("without masks: %+v, %v", frames, err)
	}
}

// TestReturnRegister: the return address is in x30 in the innermost frame only. One
// that called somebody has saved it, or cannot be followed.
func TestReturnRegister(t *testing.T) {
	l := newLinked(t)
	l.set(x30, code+36) // in the second leaf, which then has called the first
	frames, u, rest, err := l.walk(code+4, stackAt)
	if !errors.Is(err, ErrTruncated) || rest != stackAt || len(frames) != 2 {
		t.Errorf("%+v, rest %#x, %v", frames, uint64(rest), err)
	}
	var words []uint64
	u.Registers(func(v uint64) { words = append(words, v) })
	if len(words) != len(arm64.Arch.Regs.DWARF) || arch.Addr(words[x30]) != code+36 || arch.Addr(words[sp31]) != stackAt {
		t.Errorf("%#x", words)
	}
	if caller, ok := u.Caller(code+36, stackAt); ok {
		t.Errorf("caller %#x of a leaf", uint64(caller))
	}
	l.put(stackAt+8, code+52|signature)
	if caller, ok := u.Caller(code+28, stackAt); !ok || caller != code+52 {
		t.Errorf("caller %#x, %v", uint64(caller), ok)
	}
	fresh := New(arm64.Arch, l.mem, []*Table{l.table})
	fresh.state.regs[x30] = uint64(code + 28) // of another stack
	if fresh.Rehearse(code+12, stackAt); len(fresh.rows) != 1 {
		t.Errorf("%d rows rehearsed: a register that is not known was followed", len(fresh.rows))
	}
}

// TestInterrupted: a signal frame that tells the interrupted function's caller and
// not the function is not followed.
func TestInterrupted(t *testing.T) {
	l := newLinked(t)
	l.put(stackAt+8, code+52)
	frames, _, _, err := l.walk(restorer-12, stackAt)
	if !errors.Is(err, errInterrupted) || len(frames) != 1 {
		t.Errorf("%+v, %v", frames, err)
	}
}
