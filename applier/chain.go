// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"encoding/binary"
	"slices"

	"github.com/ulpatch/ulpatch/applier/module"
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
	arch      *arch.Arch
	code      *codeMap
	mem       module.Memory
	unwinder  *unwind.Unwinder
	read      func() (proc.Maps, error)
	maps      proc.Maps // as they are now, once they are needed
	targets   map[arch.Addr]callTarget
	functions map[arch.Addr]*function
	reaches   map[passage]bool
	switching map[arch.Addr]bool // what switches has said, by the function's start
}

// passage is a call of one function that another may be entered by.
type passage struct{ called, entered arch.Addr } // their starts

// callTarget is what the call before a return address calls.
type callTarget struct {
	at    arch.Addr
	known bool // false: it goes through a register or memory, or is no call
}

func newChain(code *codeMap, mem module.Memory, u *unwind.Unwinder, read func() (proc.Maps, error)) *chain {
	return &chain{
		arch: code.arch, code: code, mem: mem, unwinder: u, read: read,
		targets: map[arch.Addr]callTarget{}, functions: map[arch.Addr]*function{}, reaches: map[passage]bool{},
		switching: map[arch.Addr]bool{},
	}
}

// forget has to be called when the process has run.
func (c *chain) forget() {
	if c != nil {
		c.maps = nil
	}
}

// mapping finds the mapping that an address lies in now. err is not nil where that
// cannot be told.
func (c *chain) mapping(at arch.Addr) (m proc.Mapping, ok bool, err error) {
	if c.maps == nil {
		if c.maps, err = c.read(); err != nil {
			c.maps = nil
			return m, false, err
		}
	}
	m, ok = c.maps.Find(at)
	return m, ok, nil
}

// executable tells whether there is code at an address: such as was generated
// while the process ran, of which no more is known.
func (c *chain) executable(at arch.Addr) bool {
	m, ok, err := c.mapping(at)
	return err != nil || ok && m.Executable()
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
	_, possible := c.follows(pc, sp, nil)
	return possible
}

// trail is a stack, from its innermost frame outwards, as far as it can be followed.
type trail struct {
	slots    []arch.Addr // of return addresses
	rest     arch.Addr   // nothing is known from here on, unless it is complete
	complete bool
}

// holds tells whether a return address at a place could be one of the stack.
func (t trail) holds(slot arch.Addr) bool {
	return slices.Contains(t.slots, slot) || !t.complete && slot >= t.rest
}

// follows is the stack of which the innermost frame is at pc, a return address, with
// a stack pointer, if there could be such a stack. The return addresses' slots are
// added to those that are given.
func (c *chain) follows(pc, sp arch.Addr, slots []arch.Addr) (t trail, possible bool) {
	t.slots, possible = slots, true
	t.rest, t.complete = c.unwinder.Climb(pc, sp, func(from, to, slot arch.Addr) bool {
		possible = c.linked(from, to)
		if slots != nil {
			t.slots = append(t.slots, slot)
		}
		return possible
	})
	return t, possible
}

// linked tells whether the function that from is in could return to an address.
func (c *chain) linked(from, to arch.Addr) bool {
	if !c.code.contains(to) {
		return c.executable(to)
	}
	t := c.target(to)
	if !t.known {
		return true
	}
	entered, _, ok := c.unwinder.Function(from)
	if !ok {
		return true
	}
	called, _, ok := c.unwinder.Function(t.at)
	if !ok || called == entered {
		return true // what is not described leads anywhere
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

// resolve follows what linkers put between a call and what it calls. Where that
// goes through a slot that may be written to, it may have gone anywhere.
func (c *chain) resolve(t callTarget) callTarget {
	const most = 4 // a thunk, a PLT
	for range most {
		code, off, ok := c.code.find(t.at)
		if !t.known || !ok {
			break
		}
		way, ok := c.arch.Trampoline(code[off:], t.at)
		if !ok {
			break
		}
		t.at = way.To
		if way.Slot {
			var word [8]byte
			m, mapped, err := c.mapping(way.To)
			if err != nil || !mapped || m.Writable() || c.mem.Read(way.To, word[:]) != nil {
				return callTarget{}
			}
			t.at = arch.Addr(binary.LittleEndian.Uint64(word[:]))
		}
	}
	return t
}

// target is called, with what is remembered of it.
func (c *chain) target(to arch.Addr) callTarget {
	t, ok := c.targets[to]
	if !ok {
		t = c.resolve(c.called(to))
		c.targets[to] = t
	}
	return t
}

// leads tells whether jumps may lead from a function that is called into another
// one, so that this returns in its place: tail calls, parts of a function that
// are elsewhere. What cannot be decoded, or jumps through a register or memory,
// may lead anywhere.
func (c *chain) leads(l passage) bool {
	return !c.follow(l.called, func(start arch.Addr, _ *function) bool { return start != l.entered })
}

// switches tells whether the call before a return address may be of a function
// that switches stacks itself, or of one that jumps to such a one: whether the
// return address may be the innermost one of a stack that was switched away from.
func (c *chain) switches(to arch.Addr) bool {
	t := c.target(to)
	if !t.known || c.arch.MovesStack == nil {
		return true
	}
	start, _, ok := c.unwinder.Function(t.at)
	if !ok {
		return true
	}
	may, ok := c.switching[start]
	if !ok {
		may = !c.follow(start, func(_ arch.Addr, f *function) bool { return !f.movesStack })
		c.switching[start] = may
	}
	return may
}

// follow calls visit for a function, given by its start, and all that jumps lead
// to from there, until it returns false. It returns true where it came to the end
// of all of them.
func (c *chain) follow(start arch.Addr, visit func(start arch.Addr, f *function) bool) bool {
	const most = 64 // functions
	seen := []arch.Addr{start}
	for i := 0; i < len(seen); i++ {
		f := c.function(seen[i])
		if len(seen) > most || !visit(seen[i], f) || !f.known {
			return false
		}
		for _, to := range f.exits {
			t := c.resolve(callTarget{to, true})
			next, _, ok := c.unwinder.Function(t.at)
			if !t.known || !ok {
				return false
			}
			if !slices.Contains(seen, next) {
				seen = append(seen, next)
			}
		}
	}
	return true
}

// function is what is known of the code that the call-frame information describes
// together.
type function struct {
	exits      []arch.Addr // where direct jumps lead out of it, and what it falls through to
	known      bool        // exits are all
	movesStack bool
}

func (c *chain) function(start arch.Addr) *function {
	f, ok := c.functions[start]
	if !ok {
		f = c.decode(start)
		c.functions[start] = f
	}
	return f
}

// decode reads the code of a function. Where it goes cannot be told of one that
// jumps through a register or memory, or that calls a place in itself, to replace
// the return address that this leaves (a retpoline).
func (c *chain) decode(start arch.Addr) *function {
	f := &function{}
	_, end, ok := c.unwinder.Function(start)
	code, off, readable := c.code.find(start)
	if !ok || !readable || uint64(end-start) > uint64(len(code))-off {
		return f
	}
	code = code[off : off+uint64(end-start)]
	for at := 0; at < len(code); {
		insn, err := c.arch.Decode(code[at:], start+arch.Addr(at))
		if err != nil || insn.Len == 0 || insn.Kind == arch.IndirectJump {
			return f
		}
		inside := insn.Target >= start && insn.Target < end
		if insn.Kind == arch.Call && inside && insn.Target != start {
			return f
		}
		f.movesStack = f.movesStack || c.arch.MovesStack != nil && c.arch.MovesStack(code[at:at+insn.Len])
		at += insn.Len
		jumps := insn.Kind == arch.Jump || insn.Kind == arch.CondJump
		if jumps && !inside {
			f.exits = append(f.exits, insn.Target)
		}
		// A call at the very end is of something that does not return.
		if at >= len(code) && (insn.Kind == arch.Plain || insn.Kind == arch.CondJump) {
			f.exits = append(f.exits, end)
		}
	}
	f.known = true
	return f
}
