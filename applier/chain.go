// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"slices"

	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/unwind"
	"github.com/ulpatch/ulpatch/arch"
)

// chain tells frames from what earlier calls have left on a stack, by the stack
// alone. A frame returns to its caller, that to its own, and so on; and wherever
// one returns to, there is a call before, of that function. What is left over has
// lost its callers: where they were, later calls have put return addresses of
// their own, behind calls of other functions.
//
// It is asked while nothing runs, and remembers what it has read of code.
type chain struct {
	arch     *arch.Arch
	code     *codeMap
	unwinder *unwind.Unwinder
	read     func() (proc.Maps, error)
	maps     proc.Maps // as they are now, once they are needed
	targets  map[arch.Addr]callTarget
	reaches  map[passage]bool
}

// passage is a call of one function that another may be entered by.
type passage struct{ called, entered arch.Addr } // their starts

// callTarget is what the call before a return address calls.
type callTarget struct {
	at    arch.Addr
	known bool // false: it goes through a register or memory, or is no call
}

func newChain(code *codeMap, u *unwind.Unwinder, read func() (proc.Maps, error)) *chain {
	return &chain{
		arch: code.arch, code: code, unwinder: u, read: read,
		targets: map[arch.Addr]callTarget{}, reaches: map[passage]bool{},
	}
}

// forget has to be called when the process has run.
func (c *chain) forget() {
	if c != nil {
		c.maps = nil
	}
}

// executable tells whether there is code at an address: such as was generated
// while the process ran, of which no more is known.
func (c *chain) executable(at arch.Addr) bool {
	if c.maps == nil {
		maps, err := c.read()
		if err != nil {
			return true
		}
		c.maps = maps
	}
	m, ok := c.maps.Find(at)
	return ok && m.Executable()
}

// possible tells whether pc, a return address that stands right below sp, could
// belong to a frame. false is a proof that nothing will ever return to it there.
// Where a call leaves its return address in a register, who is called stores it
// where it likes, also in a context on the heap, and there is no such proof: it
// does not tell the stack pointer of the frame.
func (c *chain) possible(pc, sp arch.Addr) bool {
	if c.arch.Regs.RAInRegister {
		return true
	}
	possible := true
	c.unwinder.Climb(pc, sp, func(from, to arch.Addr) bool {
		if to != 0 {
			possible = c.linked(from, to)
		}
		return possible && to != 0
	})
	return possible
}

// linked tells whether the function that from is in could return to an address.
func (c *chain) linked(from, to arch.Addr) bool {
	if !c.code.contains(to) {
		return c.executable(to)
	}
	t, ok := c.targets[to]
	if !ok {
		t = c.called(to)
		c.targets[to] = t
	}
	if !t.known {
		return true
	}
	entered, _, ok := c.unwinder.Function(from)
	if !ok {
		return true
	}
	called, _, ok := c.unwinder.Function(t.at)
	if !ok || called == entered {
		return true // what is not described, such as a PLT, leads anywhere
	}
	l := passage{called, entered}
	reached, ok := c.reaches[l]
	if !ok {
		reached = c.leads(l)
		c.reaches[l] = reached
	}
	return reached
}

const longestCall = 8 // bytes

// called decodes the call before a return address. Where that can be read in
// several ways, and one is a call through a register or memory, it may go anywhere.
func (c *chain) called(to arch.Addr) (t callTarget) {
	code, off, ok := c.code.find(to)
	if !ok {
		return callTarget{}
	}
	for size := uint64(2); size <= min(longestCall, off); size++ {
		insn, err := c.arch.Decode(code[off-size:off], to-arch.Addr(size))
		if err != nil || uint64(insn.Len) != size {
			continue
		}
		switch insn.Kind {
		case arch.IndirectCall:
			return callTarget{}
		case arch.Call:
			if t.known && t.at != insn.Target {
				return callTarget{}
			}
			t = callTarget{insn.Target, true}
		}
	}
	return t
}

// leads tells whether jumps may lead from a function that is called into another
// one, so that this returns in its place: tail calls, parts of a function that
// are elsewhere. What cannot be decoded, or jumps through a register or memory,
// may lead anywhere.
func (c *chain) leads(l passage) bool {
	const most = 64 // functions
	seen := []arch.Addr{l.called}
	for i := 0; i < len(seen); i++ {
		ways, ok := c.exits(seen[i])
		if !ok || len(seen) > most {
			return true
		}
		for _, to := range ways {
			next, _, ok := c.unwinder.Function(to)
			if !ok || next == l.entered {
				return true
			}
			if !slices.Contains(seen, next) {
				seen = append(seen, next)
			}
		}
	}
	return false
}

// exits lists where direct jumps lead out of a function, and what it falls
// through to. ok is false where that cannot be told.
func (c *chain) exits(start arch.Addr) (to []arch.Addr, ok bool) {
	_, end, ok := c.unwinder.Function(start)
	code, off, readable := c.code.find(start)
	if !ok || !readable || uint64(end-start) > uint64(len(code))-off {
		return nil, false
	}
	code = code[off : off+uint64(end-start)]
	for at := 0; at < len(code); {
		insn, err := c.arch.Decode(code[at:], start+arch.Addr(at))
		if err != nil || insn.Len == 0 || insn.Kind == arch.IndirectJump {
			return nil, false
		}
		at += insn.Len
		jumps := insn.Kind == arch.Jump || insn.Kind == arch.CondJump
		if jumps && (insn.Target < start || insn.Target >= end) {
			to = append(to, insn.Target)
		}
		// A call at the very end is of something that does not return.
		if at >= len(code) && (insn.Kind == arch.Plain || insn.Kind == arch.CondJump) {
			to = append(to, end)
		}
	}
	return to, true
}
