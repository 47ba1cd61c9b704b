// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ulpatch/ulpatch/arch"
)

// Byte offsets in struct rt_sigframe (linux/arch/x86/include/asm/sigframe.h):
// the return address, then struct ucontext with struct sigcontext_64 inside.
const (
	framePretcode = 0
	frameUCFlags  = 8
	frameContext  = 48 // uc_mcontext
	frameSigmask  = frameContext + 256
	frameInfo     = frameSigmask + 8 // siginfo_t, which rt_sigreturn does not read
	frameSize     = frameInfo + 128

	contextCS      = frameContext + 144
	contextSS      = frameContext + 150
	contextFPState = frameContext + 184

	ucFPXState        = 1
	ucSigcontextSS    = 2
	ucStrictRestoreSS = 4
)

// contextRegs is the order of the registers in struct sigcontext_64.
var contextRegs = [...]int{
	regR8, regR9, regR10, regR11, regR12, regR13, regR14, regR15,
	regRDI, regRSI, regRBP, regRBX, regRDX, regRAX, regRCX, regRSP, regRIP, regEFLAGS,
}

// The XSAVE area in its standard format (Intel SDM vol. 1, chapter 13), with
// the kernel's own struct _fpx_sw_bytes in the bytes that the hardware leaves.
const (
	xstateSW     = 464 // _fpx_sw_bytes; in a ptrace set: the enabled features
	xstateHeader = 512 // XSTATE_BV
	xstateMin    = 576
	featuresAMX  = 3 << 17 // tile configuration and tiles
	magic1       = 0x46505853
	magic2       = 0x46505845
)

// xstateEnds are the ends of the user features' parts, by feature number, on the
// CPUs that have AMX. Those not listed here are of no size or the supervisor's.
var xstateEnds = map[int]int{2: 832, 3: 1024, 4: 1088, 5: 1152, 6: 1664, 7: 2688, 9: 2696, 19: 1088}

// withoutAMX is the size of the state of a thread that never asked for AMX. It
// has no room for the tiles, and the kernel takes nothing but the SSE state from
// a frame that is larger than the thread's own state.
func withoutAMX(features uint64) int {
	size := xstateMin
	for n, end := range xstateEnds {
		if features>>n&1 != 0 {
			size = max(size, end)
		}
	}
	return size
}

var sigFrame = arch.SigFrame{
	FPRegset: 0x202, // NT_X86_XSTATE
	FPSize:   16384,
	RedZone:  128,
	Saved:    savedRegs(),
	Build:    buildSigFrame,
	Enter:    func([]byte, arch.Addr) {}, // the frame says where to return to
	Call:     enterFunction,
}

// savedRegs counts from struct ucontext: the return address before it is gone.
func savedRegs() []int {
	saved := make([]int, len(regs.DWARF))
	for dwarf, reg := range regs.DWARF {
		saved[dwarf] = frameContext + 8*slices.Index(contextRegs[:], reg) - (framePretcode + 8)
	}
	return saved
}

// enterFunction clears the direction flag, and takes the x87 and SSE state back to
// what it is initially, as the kernel does for a signal handler: an interrupted
// function may be using the x87 stack, which a called one expects to be empty.
func enterFunction(set, fp []byte) {
	const (
		directionFlag = 1 << 10
		controlWord   = 0x37f
		mxcsr         = 0x1f80
		offMXCSR      = 24
		featuresSSE   = 1<<0 | 1<<1
		featurePKRU   = 1 << 9 // rights to memory, which stay
	)
	le := binary.LittleEndian
	le.PutUint64(set[regEFLAGS:], le.Uint64(set[regEFLAGS:])&^directionFlag)
	if len(fp) < xstateMin {
		return
	}
	clear(fp[:xstateSW])
	le.PutUint16(fp, controlWord)
	le.PutUint32(fp[offMXCSR:], mxcsr)
	le.PutUint64(fp[xstateHeader:], featuresSSE|le.Uint64(fp[xstateHeader:])&featurePKRU)
}

func buildSigFrame(top arch.Addr, set, fp []byte, mask uint64, restorer arch.Addr) ([]byte, arch.Addr, error) {
	le := binary.LittleEndian
	if len(set) < regsSize || len(fp) < xstateMin {
		return nil, 0, fmt.Errorf("signal frame: register sets of %d and %d bytes are too short", len(set), len(fp))
	}
	features := le.Uint64(fp[xstateSW:])
	if used := le.Uint64(fp[xstateHeader:]); features&featuresAMX != 0 && used&featuresAMX == 0 {
		features &^= featuresAMX
		fp = fp[:min(len(fp), withoutAMX(features))]
	}

	fpAt := (top - arch.Addr(len(fp)+4)) &^ 63
	at := (fpAt-frameSize)&^15 - 8 // as at a function's entry
	frame := make([]byte, int(fpAt-at)+len(fp)+4)

	le.PutUint64(frame[framePretcode:], uint64(restorer))
	le.PutUint64(frame[frameUCFlags:], ucFPXState|ucSigcontextSS|ucStrictRestoreSS)
	for i, reg := range contextRegs {
		copy(frame[frameContext+8*i:][:8], set[reg:])
	}
	copy(frame[contextCS:][:2], set[regCS:])
	copy(frame[contextSS:][:2], set[regSS:])
	le.PutUint64(frame[contextFPState:], uint64(fpAt))
	le.PutUint64(frame[frameSigmask:], mask)
	// uc_stack stays zero: a stack of no size is refused by the kernel, which
	// leaves the thread's alternate stack as it is.

	state := frame[fpAt-at:]
	copy(state, fp)
	sw := state[xstateSW:]
	le.PutUint32(sw[0:], magic1)
	le.PutUint32(sw[4:], uint32(len(fp)+4))
	le.PutUint64(sw[8:], features)
	le.PutUint32(sw[16:], uint32(len(fp)))
	clear(sw[20:48])
	le.PutUint32(state[len(fp):], magic2)
	return frame, at, nil
}
