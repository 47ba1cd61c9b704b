// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"encoding/binary"

	"github.com/ulpatch/ulpatch/arch"
)

// A restartable sequence (rseq(2)) is code that the kernel lets run either
// undisturbed or not to its end: a thread that lost its CPU within goes on at the
// sequence's abort handler. The kernel decides that when the thread runs on, by
// where it stands, and would find it in the code that it runs for us. So we do as
// the kernel would.

const (
	sequenceAt   = 8  // of the pointer to the running sequence in struct rseq
	sequenceSize = 32 // of struct rseq_cs: two words, start, length and abort handler
)

// leaveSequence lets a thread that was stopped within a restartable sequence go
// on at its abort handler, once it is given back.
func (b *borrowed) leaveSequence() error {
	at, err := b.Sequences()
	if err != nil || at == 0 {
		return err
	}
	var running [8]byte
	if err := b.p.mem.Read(arch.Addr(at)+sequenceAt, running[:]); err != nil {
		return err
	}
	descriptor := arch.Addr(binary.LittleEndian.Uint64(running[:]))
	if descriptor == 0 {
		return nil
	}
	var sequence [sequenceSize]byte
	if err := b.p.mem.Read(descriptor, sequence[:]); err != nil {
		return err
	}
	start := binary.LittleEndian.Uint64(sequence[8:])
	length := binary.LittleEndian.Uint64(sequence[16:])
	pc := b.p.arch.Regs.PC
	if at := binary.LittleEndian.Uint64(b.thread.regs[pc:]); at-start >= length {
		return nil // it has left; the kernel forgets the sequence when it looks
	}
	b.regs = bytes.Clone(b.thread.regs)
	copy(b.regs[pc:pc+8], sequence[24:])
	return nil
}
