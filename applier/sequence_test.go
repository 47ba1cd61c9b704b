// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/ulpatch/ulpatch/applier/internal/victim"
	"github.com/ulpatch/ulpatch/arch"
)

// TestSequence: a thread that is borrowed within a restartable sequence must not
// go on with it as if nothing had been.
func TestSequence(t *testing.T) {
	victim.Lock(t)
	program := victim.Start(t, victim.Build(t, "sequence.c", "-O2"))
	var first, aborted, counter uint64
	if _, err := fmt.Sscanf(program.Line(), "0x%x 0x%x 0x%x", &first, &aborted, &counter); err != nil {
		t.Fatal(err)
	}
	p, err := open(program.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	g, err := findGadgets(&p.view, p.mem)
	if err != nil {
		t.Fatal(err)
	}
	pc := p.arch.Regs.PC
	aborts := func() (uint64, error) {
		var count [8]byte
		err := p.mem.Read(arch.Addr(counter), count[:])
		return binary.LittleEndian.Uint64(count[:]), err
	}
	var stood, back, before uint64
	borrow := func() error {
		b, err := borrowThread(p, g, program.PID, func(string) {})
		if err != nil {
			return err
		}
		stood = binary.LittleEndian.Uint64(b.thread.regs[pc:])
		back = binary.LittleEndian.Uint64(b.regs[pc:])
		before, err = aborts()
		return errors.Join(err, b.giveBack())
	}
	within := 0
	victim.Await(t, "the thread is borrowed within its sequence", func() bool {
		err := onOwnThread(borrow) // what does not stop in time stays seized until its end
		if errors.Is(err, errUnfit) || errors.Is(err, errDeadline) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		if stood-first > 3 {
			return false
		}
		if back != aborted {
			t.Fatalf("the thread stood at %#x in its sequence and goes on at %#x, expected at %#x", stood, back, aborted)
		}
		victim.Await(t, "the sequence is aborted", func() bool {
			now, err := aborts()
			if err != nil {
				t.Fatal(err)
			}
			return now > before
		})
		within++
		return within == 20
	})
}
