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

// TestRestart: what is made again is as the kernel has rewound it; a wait for a
// signal returns EINTR.
func TestRestart(t *testing.T) {
	le := binary.LittleEndian
	for _, c := range []struct {
		name           string
		nr, x0, x1, x2 uint64
		wantX0, wantPC uint64
	}{
		{"read", 63, 3, 0, 0, 3, 0x1000},
		{"sigsuspend", 133, 0x7000, 8, 0, ^uint64(3), 0x1004},
		{"pause", 73, 0, 0, 0, ^uint64(3), 0x1004},
		{"ppoll with a time-out", 73, 0, 0, 0x7000, 0, 0x1000},
		{"ppoll of files", 73, 0x7000, 1, 0, 0x7000, 0x1000},
	} {
		set := make([]byte, regsSize)
		for reg, v := range map[int]uint64{0: c.x0, 1: c.x1, 2: c.x2, 8: c.nr} {
			le.PutUint64(set[regX(reg):], v)
		}
		le.PutUint64(set[regPC:], 0x1000)
		syscall.Restart(set)
		if x0, pc := le.Uint64(set), le.Uint64(set[regPC:]); x0 != c.wantX0 || pc != c.wantPC {
			t.Errorf("%s: x0 %#x, pc %#x", c.name, x0, pc)
		}
	}
	for result, want := range map[int64]bool{-512: true, -513: true, -514: true, -516: true, -515: false, -4: false, 0: false, 1: false, 1<<32 - 512: false} {
		set := make([]byte, regsSize)
		le.PutUint64(set, uint64(result))
		if got := syscall.Interrupted(set); got != want {
			t.Errorf("interrupted, result %d: %v", result, got)
		}
	}
}

// TestMangling: the C library hides what it saves as the port says.
func TestMangling(t *testing.T) {
	const guard, word = 0x1122334455667788, 0xaaaabbbbcccc
	if mangling.Reveal(word^guard, guard) != word || mangling.PC != -16 {
		t.Errorf("%+v", mangling)
	}
	f, err := elf.Open("/usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return s.Name == mangling.Symbol && s.Size == 8 }) {
		t.Errorf("no %s of 8 bytes", mangling.Symbol)
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
