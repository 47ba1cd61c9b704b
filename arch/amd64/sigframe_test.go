// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

// That the kernel takes these frames is shown by the tests of applier/ptrace.

func xstate(size int, features, used uint64) []byte {
	fp := bytes.Repeat([]byte{0xa5}, size)
	binary.LittleEndian.PutUint64(fp[xstateSW:], features)
	binary.LittleEndian.PutUint64(fp[xstateHeader:], used)
	return fp
}

func TestSigFrame(t *testing.T) {
	set := make([]byte, regsSize)
	for i := range set {
		set[i] = byte(i)
	}
	const avx512, pkru, apx = 0xe7, 1 << 9, 1 << 19
	for _, c := range []struct {
		name           string
		size, want     int
		features, used uint64
	}{
		{"SSE", 576, 576, 3, 3},
		{"AVX", 832, 832, 7, 7},
		{"AVX, all initial", 832, 832, 7, 0},
		{"AVX-512", 2688, 2688, avx512, avx512},
		{"AVX-512 and PKRU", 2696, 2696, avx512 | pkru, avx512},
		{"PKRU of a CPU without AVX-512", 840, 840, 7 | pkru, 7},
		{"AMX not asked for", 11008, 2696, avx512 | pkru | featuresAMX, avx512 | pkru},
		{"AMX not asked for, no PKRU", 11008, 2688, avx512 | featuresAMX, 7},
		{"AMX and APX", 11008, 2696, avx512 | pkru | apx | featuresAMX, 7},
		{"AMX in use", 11008, 11008, avx512 | pkru | featuresAMX, avx512 | featuresAMX},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, top := range []arch.Addr{0x7fff00001000, 0x7fff00000fff, 0x7fff00000fc1, 0x7fff00000f80} {
				frame, at, err := buildSigFrame(top, set, xstate(c.size, c.features, c.used), 0x1234, 0x401000)
				if err != nil {
					t.Fatal(err)
				}
				le := binary.LittleEndian
				if end := at + arch.Addr(len(frame)); end > top || top-end > 64 {
					t.Errorf("ends at %#x, top is %#x", end, top)
				}
				if at%16 != 8 {
					t.Errorf("at %#x: not as at a function's entry", at)
				}
				if pc := le.Uint64(frame); pc != 0x401000 {
					t.Errorf("returns to %#x", pc)
				}
				fpAt := le.Uint64(frame[contextFPState:])
				if fpAt%64 != 0 || arch.Addr(fpAt) < at+frameSize {
					t.Fatalf("vector state at %#x of a frame at %#x", fpAt, at)
				}
				state := frame[fpAt-uint64(at):]
				if len(state) != c.want+4 || le.Uint32(state[c.want:]) != magic2 {
					t.Errorf("%d bytes of state, want %d", len(state)-4, c.want)
				}
				sw := state[xstateSW:]
				if le.Uint32(sw) != magic1 || le.Uint32(sw[4:]) != uint32(c.want+4) || le.Uint32(sw[16:]) != uint32(c.want) {
					t.Errorf("_fpx_sw_bytes % x", sw[:48])
				}
				if got := le.Uint64(sw[8:]); c.want < c.size && got&featuresAMX != 0 || c.want == c.size && got != c.features {
					t.Errorf("features %#x of %#x", got, c.features)
				}
				if mask := le.Uint64(frame[frameSigmask:]); mask != 0x1234 {
					t.Errorf("mask %#x", mask)
				}
			}
		})
	}
	for _, c := range [][2]int{{regsSize - 1, 576}, {regsSize, 575}, {0, 0}} {
		if _, _, err := buildSigFrame(1<<40, make([]byte, c[0]), make([]byte, c[1]), 0, 0); err == nil {
			t.Errorf("a frame was built of %v bytes", c)
		}
	}
}

func TestRestart(t *testing.T) {
	const pc, read = 0x401002, 0
	for _, c := range []struct {
		name               string
		nr, result         int64
		wantPC, wantResult uint64
	}{
		{"none", -1, 77, pc, 77},
		{"finished", read, 5, pc, 5},
		{"failed", read, -4, pc, resultEINTR},
		{"ERESTARTSYS", read, restartSys, pc - 2, read},
		{"ERESTARTNOINTR", 202, restartNoIntr, pc - 2, 202},
		{"ERESTARTNOHAND", 270, restartNoHand, pc - 2, 270},
		{"ERESTART_RESTARTBLOCK", 35, restartBlock, pc - 2, 35},
		{"pause", sysPause, restartNoHand, pc, resultEINTR},
		{"sigsuspend", sysSigsuspend, restartNoHand, pc, resultEINTR},
		{"-515 is no restart", read, -515, pc, ^uint64(514)},
	} {
		set := make([]byte, regsSize)
		le := binary.LittleEndian
		le.PutUint64(set[regRIP:], pc)
		le.PutUint64(set[regRAX:], uint64(c.result))
		le.PutUint64(set[regOrigRAX:], uint64(c.nr))
		restart(set)
		if p, r, n := le.Uint64(set[regRIP:]), le.Uint64(set[regRAX:]), le.Uint64(set[regOrigRAX:]); p != c.wantPC || r != c.wantResult || n != noSyscall {
			t.Errorf("%s: pc %#x, result %d, call %d", c.name, p, int64(r), int64(n))
		}
	}
}

// A function is entered with the direction flag clear and the vector state initial,
// and with the thread's own rights to memory.
func TestEnterFunction(t *testing.T) {
	le := binary.LittleEndian
	const avx512, pkru = 0xe7, 1 << 9
	set, fp := make([]byte, regsSize), xstate(2696, avx512|pkru, avx512|pkru)
	le.PutUint64(set[regEFLAGS:], 0xed7)
	enterFunction(set, fp)
	if flags := le.Uint64(set[regEFLAGS:]); flags != 0xad7 {
		t.Errorf("flags %#x", flags)
	}
	if used := le.Uint64(fp[xstateHeader:]); used != 3|pkru {
		t.Errorf("features %#x", used)
	}
	if fp[2688] != 0xa5 {
		t.Error("the rights to memory changed")
	}
	if control, mxcsr := le.Uint16(fp), le.Uint32(fp[24:]); control != 0x37f || mxcsr != 0x1f80 {
		t.Errorf("control word %#x, mxcsr %#x", control, mxcsr)
	}
	if tags := le.Uint16(fp[4:]); tags != 0 || !bytes.Equal(fp[32:416], make([]byte, 384)) {
		t.Error("registers are in use")
	}
	enterFunction(set, fp[:64]) // too short: left alone
}
