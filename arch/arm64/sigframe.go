// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"encoding/binary"
	"fmt"

	"github.com/ulpatch/ulpatch/arch"
)

// Byte offsets in struct rt_sigframe (linux/arch/arm64/kernel/signal.c):
// siginfo_t, which rt_sigreturn does not read, then struct ucontext with struct
// sigcontext inside.
const (
	frameContext  = 128
	frameSigmask  = frameContext + 40
	frameMachine  = frameContext + 176 // uc_mcontext
	frameRegs     = frameMachine + 8   // behind the fault's address
	frameReserved = frameMachine + 288
	reservedSize  = 4096
	frameSize     = frameReserved + reservedSize
)

// Records in the reserved part, and the null record that ends them.
const (
	magicFPSIMD = 0x46508001
	magicSVE    = 0x53564501
	magicExtra  = 0x45585401

	sizeHead       = 8
	sizeFPSIMD     = sizeHead + 8 + 512
	sizeExtra      = 32
	sizeTerminator = 16
)

// Register sets of the vector state: struct user_fpsimd_state (NT_PRFPREG), or
// struct user_sve_header (NT_ARM_SVE) and, by its flags, one of two layouts
// behind it.
const (
	sizeFPState   = 528 // v0 to v31, fpsr, fpcr
	offFPSR       = 512
	sizeSVEHeader = 16
	offVL         = 8
	offFlags      = 12
	flagSVE       = 1
)

var sigFrame = arch.SigFrame{
	FPRegset:     0x2,   // NT_PRFPREG
	WideFPRegset: 0x405, // NT_ARM_SVE
	FPSize:       16384,
	Saved:        savedRegs(),
	Volatile:     volatileVectors,
	Build:        buildSigFrame,
	Enter:        enter,
}

func savedRegs() []int {
	saved := make([]int, len(regs.DWARF))
	for dwarf, reg := range regs.DWARF {
		saved[dwarf] = frameRegs + reg
	}
	return saved
}

// volatileVectors: of the SVE registers a system call keeps the lower 128 bits.
func volatileVectors(fp []byte) bool {
	return len(fp) != sizeFPState && len(fp) >= sizeSVEHeader && binary.LittleEndian.Uint16(fp[offFlags:])&flagSVE != 0
}

// vectors is the vector state, as records for a frame need it.
type vectors struct {
	v          []byte // v0 to v31
	fpsr, fpcr uint32
	vl         uint16 // bytes of a vector register; 0 without sve
	sve        []byte // z0 to z31, p0 to p15, ffr
}

func readVectors(fp []byte) (vectors, error) {
	le := binary.LittleEndian
	sized := func(rest []byte, n int) error {
		if len(rest) < n {
			return fmt.Errorf("vector state of %d bytes is too short", len(fp))
		}
		return nil
	}
	plain := func(state []byte) (vectors, error) {
		if err := sized(state, sizeFPState); err != nil {
			return vectors{}, err
		}
		return vectors{v: state[:offFPSR], fpsr: le.Uint32(state[offFPSR:]), fpcr: le.Uint32(state[offFPSR+4:])}, nil
	}
	if len(fp) == sizeFPState {
		return plain(fp)
	}
	if err := sized(fp, sizeSVEHeader); err != nil {
		return vectors{}, err
	}
	body := fp[sizeSVEHeader:]
	if le.Uint32(fp) == sizeSVEHeader { // another set of registers is in use
		return vectors{}, fmt.Errorf("streaming mode (SME): %w", arch.ErrUnfit)
	}
	if !volatileVectors(fp) {
		return plain(body)
	}
	s := vectors{vl: le.Uint16(fp[offVL:])}
	vq := int(s.vl) / 16
	if vq == 0 || s.vl%16 != 0 {
		return vectors{}, fmt.Errorf("vector length of %d bytes", s.vl)
	}
	size := vq * (32*16 + 17*2)
	status := (size + 15) &^ 15
	if err := sized(body, status+8); err != nil {
		return vectors{}, err
	}
	s.sve = body[:size]
	s.fpsr, s.fpcr = le.Uint32(body[status:]), le.Uint32(body[status+4:])
	for n := range 32 {
		s.v = append(s.v, body[n*vq*16:][:16]...)
	}
	return s, nil
}

// fpsimd is the record that every frame has.
func (s vectors) fpsimd() []byte {
	le := binary.LittleEndian
	out := le.AppendUint32(nil, magicFPSIMD)
	out = le.AppendUint32(out, sizeFPSIMD)
	out = le.AppendUint32(out, s.fpsr)
	out = le.AppendUint32(out, s.fpcr)
	return append(out, s.v...)
}

// wide is the record of the SVE registers, or nil.
func (s vectors) wide() []byte {
	if s.sve == nil {
		return nil
	}
	le := binary.LittleEndian
	size := (16 + len(s.sve) + 15) &^ 15
	out := le.AppendUint32(nil, magicSVE)
	out = le.AppendUint32(out, uint32(size))
	out = le.AppendUint16(out, s.vl)
	out = append(out, make([]byte, 6)...)
	out = append(out, s.sve...)
	return append(out, make([]byte, size-len(out))...)
}

// buildSigFrame takes no note of the restorer: rt_sigreturn finds the frame at
// the stack pointer, and Enter says where the gadget returns to.
func buildSigFrame(top arch.Addr, set, fp []byte, mask uint64, _ arch.Addr) ([]byte, arch.Addr, error) {
	if len(set) < regsSize {
		return nil, 0, fmt.Errorf("signal frame: register set of %d bytes is too short", len(set))
	}
	s, err := readVectors(fp)
	if err != nil {
		return nil, 0, fmt.Errorf("signal frame: %w", err)
	}
	records, wide := s.fpsimd(), s.wide()
	inside := len(records)+len(wide)+sizeTerminator <= reservedSize
	size := frameSize
	if inside {
		records = append(records, wide...)
	} else {
		size = frameReserved + len(records) + sizeExtra + sizeTerminator + len(wide) + sizeTerminator
	}
	size = max(size, frameSize)
	at := (top - arch.Addr(size)) &^ 15
	if !inside {
		// What has no room stands behind the null record, and a record says so.
		le := binary.LittleEndian
		behind := at + frameReserved + arch.Addr(len(records)+sizeExtra+sizeTerminator)
		records = le.AppendUint32(records, magicExtra)
		records = le.AppendUint32(records, sizeExtra)
		records = le.AppendUint64(records, uint64(behind))
		records = le.AppendUint32(records, uint32(len(wide)+sizeTerminator))
		records = append(records, make([]byte, 12+sizeTerminator)...)
		records = append(records, wide...)
	}
	frame := make([]byte, size)
	binary.LittleEndian.PutUint64(frame[frameSigmask:], mask)
	copy(frame[frameRegs:], set[:regsSize])
	copy(frame[frameReserved:], records)
	// uc_stack stays zero: a stack of no size is refused by the kernel, which
	// leaves the thread's alternate stack as it is.
	return frame, at, nil
}

// enter: the gadget returns to the link register. A thread that stopped right
// behind an indirect branch still has to find a landing pad (PSTATE.BTYPE),
// which the gadget is not; the frame has that as it was.
func enter(set []byte, restorer arch.Addr) {
	const btype = 3 << 10
	le := binary.LittleEndian
	le.PutUint64(set[regX30:], uint64(restorer))
	le.PutUint64(set[regPSTATE:], le.Uint64(set[regPSTATE:])&^btype)
}
