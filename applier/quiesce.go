// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/ptrace"
	"github.com/ulpatch/ulpatch/applier/unwind"
	"github.com/ulpatch/ulpatch/arch"
)

// occupied says that a thread is in code that is to change.
type occupied struct {
	tid   int // 0: no thread, but a stack that none is on
	zone  string
	stack []string // names or addresses, innermost first
}

func (o *occupied) Error() string {
	if o.tid == 0 {
		return fmt.Sprintf("a coroutine is in %s: %s", o.zone, strings.Join(o.stack, " < "))
	}
	return fmt.Sprintf("thread %d is in %s: %s", o.tid, o.zone, strings.Join(o.stack, " < "))
}

// checker finds out whether stopped threads are in zones. It is made before
// anything is stopped.
type checker struct {
	arch     *arch.Arch
	mem      module.Memory
	maps     proc.Maps
	modules  []*module.Module
	unwinder *unwind.Unwinder
	strip    func(arch.Addr) arch.Addr
	zones    []zone
	// returns are the addresses behind the call instructions of zones.
	returns map[arch.Addr]bool
	chain   *chain
}

// newChecker reads what is needed to walk the stacks of a process.
func newChecker(v *view, mem module.Memory, zones []zone) *checker {
	c := &checker{
		arch: v.arch, mem: mem, maps: v.maps, modules: v.modules, zones: zones, strip: v.strip,
		returns: map[arch.Addr]bool{},
	}
	var tables []*unwind.Table
	for _, m := range v.modules {
		if t, err := unwind.OfModule(m, mem); err == nil {
			tables = append(tables, t)
		}
	}
	for _, r := range v.records {
		if t := patchTable(r, mem); t != nil {
			tables = append(tables, t)
		}
	}
	c.unwinder = unwind.New(v.arch, mem, tables)
	c.unwinder.Masks(v.masks)
	for _, z := range zones {
		c.findReturns(z)
	}
	return c
}

// rehearse walks the stacks of the threads that sleep, while the process runs, so
// that little is left to be computed while it is stopped.
func (c *checker) rehearse(pid int) {
	tids, err := proc.Threads(pid)
	if err != nil {
		return
	}
	seen := map[uint64]bool{}
	for _, tid := range tids {
		// Threads that sleep at one place have mostly come there the same way.
		if sp, pc, ok := proc.Sleeping(pid, tid); ok && !seen[pc] {
			c.unwinder.Rehearse(arch.Addr(pc), arch.Addr(sp))
			seen[pc] = len(tids) > 64
		}
	}
}

// patchTable is the call-frame information of a patch that is in the process.
func patchTable(r *record, mem module.Memory) *unwind.Table {
	if r.Unwind.Size == 0 || r.Unwind.End() > r.Size {
		return nil
	}
	at := r.Base + arch.Addr(r.Unwind.Offset)
	section := make([]byte, r.Unwind.Size)
	if mem.Read(at, section) != nil {
		return nil
	}
	start := r.Base + arch.Addr(r.Code.Offset)
	t, err := unwind.Parse(section, at, start, start+arch.Addr(r.Code.Size))
	if err != nil {
		return nil
	}
	return t
}

// findReturns notes where calls in a zone return to. Where its code cannot be
// decoded, every address in it counts.
func (c *checker) findReturns(z zone) {
	code := make([]byte, z.end-z.start)
	if c.mem.Read(z.start, code) != nil {
		code = nil
	}
	for off := 0; off < len(code); {
		insn, err := c.arch.Decode(code[off:], z.start+arch.Addr(off))
		if err != nil || insn.Len == 0 {
			for ; off < len(code); off++ {
				c.returns[z.start+arch.Addr(off)+1] = true
			}
			return
		}
		off += insn.Len
		// What is called at the very end does not return; and the address behind
		// it is the next function's, which many pointers lead to.
		if (insn.Kind == arch.Call || insn.Kind == arch.IndirectCall) && off < len(code) {
			c.returns[z.start+arch.Addr(off)] = true
		}
	}
}

// check walks the stack of a stopped thread. It returns an *occupied where the
// thread is in a zone or cannot be shown to be outside.
func (c *checker) check(t *thread) error {
	var found *occupied
	t.top = 0
	rest, err := c.unwinder.Walk(t.regs, func(f unwind.Frame) bool {
		t.top = max(t.top, f.CFA)
		if z := c.zone(f.Lookup(), f.Exact); z != "" {
			found = &occupied{tid: t.TID, zone: z}
		}
		return found == nil
	})
	if found == nil && err != nil {
		found = c.scanRegisters(t)
	}
	if found == nil && err != nil {
		found = c.scan(t, rest)
	}
	if found == nil {
		return nil
	}
	return found
}

func (c *checker) zone(pc arch.Addr, exact bool) string {
	for _, z := range c.zones {
		if z.holds(pc, exact) {
			return z.name
		}
	}
	return ""
}

// scanRegisters looks for return addresses into a zone in the registers of the
// frame that could not be followed: where a call leaves its return address in a
// register, the function may have it there, or in any other.
func (c *checker) scanRegisters(t *thread) (found *occupied) {
	if !c.arch.Regs.RAInRegister {
		return nil
	}
	c.unwinder.Registers(func(value uint64) {
		word := c.strip(arch.Addr(value))
		if z := c.zone(word-1, false); found == nil && c.returns[word] && z != "" {
			found = &occupied{tid: t.TID, zone: z, stack: []string{
				fmt.Sprintf("return address %#x in a register of code without call-frame information", uint64(word))}}
		}
	})
	return found
}

const maxScan = 64 << 20 // bytes of a stack

// scan looks for words from rest to the end of the stack that could be return
// addresses into a zone.
func (c *checker) scan(t *thread, rest arch.Addr) *occupied {
	if c.walked(t, rest) {
		return nil
	}
	stack, ok := c.maps.Find(rest)
	if !ok {
		// The stack is younger than our map of it.
		if maps, err := proc.ReadMaps(t.TID); err == nil {
			c.maps = maps
			stack, ok = maps.Find(rest)
		}
		if c.walked(t, rest) {
			return nil
		}
	}
	if !ok || !stack.Readable() {
		return &occupied{tid: t.TID, zone: "an unknown place", stack: []string{fmt.Sprintf("stack pointer %#x is in no mapping", uint64(rest))}}
	}
	rest = (rest + 7) &^ 7
	if stack.End-rest > maxScan {
		return &occupied{tid: t.TID, zone: "an unknown place", stack: []string{fmt.Sprintf("%d MiB of stack without call-frame information", (stack.End-rest)>>20)}}
	}
	buf := make([]byte, 64<<10)
	for rest < stack.End {
		chunk := buf[:min(arch.Addr(len(buf)), stack.End-rest)]
		if err := c.mem.Read(rest, chunk); err != nil {
			return &occupied{tid: t.TID, zone: "an unknown place", stack: []string{err.Error()}}
		}
		for off := 0; off+8 <= len(chunk); off += 8 {
			word := c.strip(arch.Addr(binary.LittleEndian.Uint64(chunk[off:])))
			at := rest + arch.Addr(off)
			if !c.returns[word] || !c.chain.possible(word, at+8) {
				continue
			}
			if z := c.zone(word-1, false); z != "" {
				return &occupied{tid: t.TID, zone: z, stack: []string{
					fmt.Sprintf("return address %#x at %#x, found by scanning a stack without call-frame information", uint64(word), uint64(at))}}
			}
		}
		rest += arch.Addr(len(chunk))
	}
	return nil
}

// walked tells whether nothing is left of a thread's stack: where a call does not
// push, the outermost function may have all of it behind itself.
func (c *checker) walked(t *thread, rest arch.Addr) bool {
	_, sp := c.position(t)
	own, ok := c.maps.Find(arch.Addr(sp))
	return ok && rest == own.End
}

// backtrace names a stopped thread's frames, for a message.
func (c *checker) backtrace(t *thread) []string {
	const most = 12
	var names []string
	_, err := c.unwinder.Walk(t.regs, func(f unwind.Frame) bool {
		names = append(names, c.symbolize(f.Lookup()))
		return len(names) < most
	})
	if err != nil {
		names = append(names, "...")
	}
	return names
}

func (c *checker) symbolize(pc arch.Addr) string {
	for _, z := range c.zones {
		if z.start <= pc && pc < z.end {
			return z.name
		}
	}
	if m := module.Find(c.modules, pc); m != nil {
		return fmt.Sprintf("%s+%#x", m.Name(), uint64(pc-m.Bias))
	}
	return fmt.Sprintf("%#x", uint64(pc))
}

// herd lets threads that are in a zone run, one at a time, until each was found
// outside, or the deadline has passed. A thread that moves is looked at again at
// once: it is as likely to be outside then as ever. One that does not is given
// more time, and waited for no longer once it is clear that it sleeps.
func (s *stopper) herd(c *checker, deadline time.Time) error {
	for suspects := s.threads; ; {
		var inside []*thread
		for _, t := range suspects {
			left, err := s.drive(c, t, deadline)
			if err != nil {
				return err
			}
			if !left {
				inside = append(inside, t)
			}
		}
		suspects = inside
		// A thread that ran may have started others.
		if n, err := proc.ThreadCount(s.pid); err != nil || n != s.alive() {
			added, err := s.seize()
			if err != nil {
				return err
			}
			if err := s.stop(added, deadline); err != nil {
				return err
			}
			suspects = append(suspects, added...)
		}
		if len(suspects) == 0 {
			return nil
		}
	}
}

const (
	firstSlice = 20 * time.Microsecond
	longSlice  = 200 * time.Microsecond // a thread in a system call that has not moved then sleeps
	samples    = 64                     // of one thread, before it is another's turn
)

// drive lets one thread run in slices. It returns true when it is outside.
func (s *stopper) drive(c *checker, t *thread, deadline time.Time) (left bool, err error) {
	var d time.Duration
	for range samples {
		if t.gone {
			return true, nil
		}
		inside := c.check(t)
		if inside == nil {
			return true, nil
		}
		asleep := d > longSlice && c.inSyscall(t)
		if t.last == ptrace.GroupStop || asleep || time.Now().Add(d).After(deadline) {
			return false, s.explain(c, inside)
		}
		pc, sp := c.position(t)
		if err := s.slice(t, d, deadline); err != nil {
			return false, err
		}
		c.chain.forget()
		if newPC, newSP := c.position(t); newPC != pc || newSP != sp {
			d = 0
		} else {
			d = min(max(2*d, firstSlice), 2*longSlice)
		}
	}
	return false, nil
}

// position is where a stopped thread is.
func (c *checker) position(t *thread) (pc, sp uint64) {
	le := binary.LittleEndian
	return le.Uint64(t.regs[c.arch.Regs.PC:]), le.Uint64(t.regs[c.arch.Regs.SP:])
}

// inSyscall tells whether a stopped thread is in a system call, or about to make
// one.
func (c *checker) inSyscall(t *thread) bool {
	sys := c.arch.Syscall
	if !sys.Rewound {
		return binary.LittleEndian.Uint64(t.regs[sys.Never:]) != ^uint64(0)
	}
	pc, _ := c.position(t)
	insn := make([]byte, len(sys.Instruction))
	return c.mem.Read(arch.Addr(pc), insn) == nil && bytes.Equal(insn, sys.Instruction)
}

// slice lets one thread run for a short while.
func (s *stopper) slice(t *thread, d time.Duration, deadline time.Time) error {
	if err := t.Resume(); gone(err) {
		t.gone = true
		return nil
	} else if err != nil {
		return err
	}
	if d > 0 {
		ptrace.Sleep(d)
	}
	return s.stop([]*thread{t}, deadline)
}

func (s *stopper) explain(c *checker, err error) error {
	var o *occupied
	if errors.As(err, &o) && len(o.stack) == 0 {
		if t := s.known[o.tid]; t != nil && t.Stopped() {
			o.stack = c.backtrace(t)
		}
	}
	return err
}
