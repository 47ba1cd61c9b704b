// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

// TestKernelHeaders holds every number to the kernel's own headers.
func TestKernelHeaders(t *testing.T) {
	object := filepath.Join(t.TempDir(), "kernel.o")
	run(t, tool("gcc"), "-c", "-o", object, "testdata/kernel.c")
	data := sectionData(t, openELF(t, object), ".rodata")
	var got []uint64
	for ; len(data) >= 8; data = data[8:] {
		got = append(got, binary.LittleEndian.Uint64(data))
	}
	want := []int{
		regsSize, regX30, regSP, regPC, regPSTATE,
		frameContext, frameSigmask, frameMachine, frameRegs, frameRegs + regSP, frameRegs + regPC, frameRegs + regPSTATE, frameReserved, frameSize,
		magicFPSIMD, sizeFPSIMD, sizeHead, sizeHead + 8,
		magicSVE, offVL, magicExtra, sizeExtra, sizeHead, sizeHead + 8,
		sizeFPState, offFPSR, sizeSVEHeader, offVL, offFlags, flagSVE,
	}
	for _, vq := range []int{1, 2, 3, 16} {
		fp := sveSet(vq)
		s, err := readVectors(fp)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, len(fp), len(fp)-16, 16, 16+len(s.sve))
	}
	want = append(want, regs.MaskSize, 8,
		sigFrame.FPRegset, sigFrame.WideFPRegset, regs.MaskRegset, syscall.NumberRegset, regs.ThreadRegset,
		int(syscall.MemfdCreate), int(syscall.Mmap), int(syscall.Munmap), int(syscall.Close), int(syscall.Getpid), movX8>>5&0xffff)
	if len(got) != len(want) {
		t.Fatalf("%d numbers, %d of the kernel's", len(want), len(got))
	}
	for i := range want {
		if got[i] != uint64(want[i]) {
			t.Errorf("number %d: %#x, the kernel has %#x", i, want[i], got[i])
		}
	}
}

func TestRegs(t *testing.T) {
	if len(regs.DWARF) != 33 || regs.DWARF[regs.DWARFSP] != regs.SP || regs.DWARF[regs.DWARFPC] != regs.PC || regs.DWARF[regs.DWARFRA] != regX30 {
		t.Errorf("%+v", regs)
	}
	if syscall.Number != regX(8) || syscall.Result != 0 || !slices.Equal(syscall.Args[:], []int{0, 8, 16, 24, 32, 40}) {
		t.Errorf("%+v", syscall)
	}
	disasm(t, syscall.Gadgets[0], "SVC #0x0", "RET X30")
	disasm(t, syscall.Restorers[0], "MOV X8, #0x8b", "SVC #0x0")
	if !bytes.HasPrefix(syscall.Gadgets[0], syscall.Instruction) {
		t.Error("the gadget does not begin with the instruction")
	}
	set := bytes.Repeat([]byte{0x5a}, regsSize)
	before := bytes.Clone(set)
	if syscall.Restart(set); !bytes.Equal(set, before) {
		t.Error("restarted what the kernel had already")
	}
}

// TestGadget: the C library has what a borrowed thread runs. The code that
// returns from a signal handler is the kernel's own.
func TestGadget(t *testing.T) {
	libc, err := os.ReadFile("/usr/aarch64-linux-gnu/lib/libc.so.6")
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(libc))
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.Section(".text").Data()
	if err != nil {
		t.Fatal(err)
	}
	if i := bytes.Index(text, syscall.Gadgets[0]); i < 0 || i%wordSize != 0 {
		t.Errorf("found at %d", i)
	}
}

func TestStrip(t *testing.T) {
	masks := func(insn uint64) []byte {
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 0x1234), insn)
	}
	const mask48, mask52 = 0xff7f000000000000, 0xff70000000000000
	for _, c := range []struct {
		addr  arch.Addr
		masks []byte
		want  arch.Addr
	}{
		{0x0000aaaabbbbcccc, masks(mask48), 0x0000aaaabbbbcccc},
		{0x5a1caaaabbbbcccc, masks(mask48), 0x0000aaaabbbbcccc},
		{0xff7faaaabbbbcccc, masks(mask48), 0x0000aaaabbbbcccc},
		{0x5a1caaaabbbbcccc, masks(mask52), 0x000caaaabbbbcccc},
		{0x5a9caaaabbbbcccc, masks(mask48), 0xffffaaaabbbbcccc}, // the kernel's half
		{0x5a1caaaabbbbcccc, nil, 0x5a1caaaabbbbcccc},
		{0x5a1caaaabbbbcccc, masks(mask48)[:15], 0x5a1caaaabbbbcccc},
		{0, masks(mask48), 0},
	} {
		if got := Arch.Regs.Strip(c.addr, c.masks); got != c.want {
			t.Errorf("%#x: %#x, want %#x", uint64(c.addr), uint64(got), uint64(c.want))
		}
	}
}
