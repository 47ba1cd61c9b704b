// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/arch"
)

// readMasks reads from a stopped thread how return addresses are signed. Where the
// kernel does not have that set, they are not.
func (p *process) readMasks(t *thread) error {
	if p.arch.Regs.MaskRegset == 0 {
		return nil
	}
	set, err := t.Registers(p.arch.Regs.MaskRegset, make([]byte, p.arch.Regs.MaskSize))
	switch {
	case err == nil && len(set) == p.arch.Regs.MaskSize:
		p.masks = set
	case err == nil || errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENODEV):
		p.masks = nil
	default:
		return err
	}
	p.masked = true
	return nil
}

// learnMasks finds out how return addresses are signed, which only a thread that
// is stopped tells: one, for a moment.
func (p *process) learnMasks() error {
	if p.masked || p.arch.Regs.MaskRegset == 0 {
		return nil
	}
	return onOwnThread(func() error {
		tids, err := proc.Threads(p.id.PID)
		if err != nil {
			return err
		}
		for _, tid := range tids {
			t, err := seizeThread(p.id.PID, tid)
			if err != nil {
				return err
			}
			if t == nil {
				continue
			}
			t.regs = make([]byte, p.arch.Regs.Size)
			s := newStopper(p.id.PID, p.arch)
			s.threads, s.known[tid] = []*thread{t}, t
			if err := s.stop(s.threads, time.Now().Add(borrowTimeout)); err == nil && !t.gone {
				_ = p.readMasks(t) // or from another thread
			}
			s.release()
			if p.masked {
				return nil
			}
		}
		return fmt.Errorf("%w: no thread stops: %w", ErrBusy, errDeadline)
	})
}

// strip gives back a return address as it was before it was signed.
func (v *view) strip(addr arch.Addr) arch.Addr {
	if v.masks == nil {
		return addr
	}
	return v.arch.Regs.Strip(addr, v.masks)
}

// signature are the bits of a word that may be a signature, if it is an address.
func (v *view) signature() uint64 {
	const all = arch.Addr(1)<<55 - 1 // what lies above tells whose address it is
	return uint64(all &^ v.strip(all))
}
