// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"slices"

	"github.com/ulpatch/ulpatch/arch"
)

// Where a reference through a section's symbol tells a place that may mean two
// things, what the code does with the address tells which: a program reads and
// writes only within what it took the address of. So addresses are followed
// through registers and the stack frame, over all ways that the code can go, to
// the instructions that read or write at them. What is there at every way is
// meant, if all that an index can be is within it. And an address that is compared
// with one that was moved along a variable, and used there, is a place of that
// variable: its end.

// meanings tells for references of a function what they mean, where that is
// proved. It is nil where nothing is.
func meanings(fn *atom) map[int]*atom {
	if fn.object.arch.Effect == nil {
		return nil
	}
	t := &tracer{fn: fn, used: map[int][]*atom{}}
	if !t.decode() || !t.settle() {
		return nil
	}
	t.noting = true
	for k := range t.code {
		if in := t.entries[k]; in != nil {
			t.block(in.clone(), k, nil)
		}
	}
	out := map[int]*atom{}
	for i, seen := range t.used {
		if len(seen) == 1 {
			out[i] = seen[0]
		}
	}
	for _, l := range t.linked {
		a := out[l.moved]
		if r := &fn.refs[l.moved]; a == nil && len(t.used[l.moved]) == 0 && !r.doubtful() {
			a = r.target
		}
		if a == nil || len(t.used[l.with]) > 0 || out[l.with] != nil && out[l.with] != a {
			continue
		}
		at := t.place(l.with)
		if sec := fn.refs[l.with].target.section; sec == a.section && at >= int64(a.off) && at <= int64(a.off+a.size) {
			out[l.with] = a
		}
	}
	return out
}

// tracer follows the addresses of a function.
type tracer struct {
	fn      *atom
	code    []instruction
	entries []*machine // of instructions that a block begins with: what is known there
	noting  bool
	used    map[int][]*atom // by reference: what is read or written through it
	linked  []link
}

// instruction is one of a function, decoded.
type instruction struct {
	at         int
	insn       arch.Insn
	effect     arch.Effect
	known      bool
	first, end int // its references
	to         int // index of the instruction that it branches to; -1: none of the function
	leads      bool
}

// link: an address that was moved along a variable is compared with another.
type link struct{ moved, with int }

// place is the offset in its section that a reference tells.
func (t *tracer) place(i int) int64 {
	r := &t.fn.refs[i]
	return int64(r.target.off) + r.landing
}

// decode finds the instructions, and where blocks begin. It is false where some
// cannot be decoded.
func (t *tracer) decode() bool {
	a := t.fn.object.arch
	byAt := map[int]int{}
	ref := 0
	for at := 0; at < len(t.fn.data); {
		in, err := a.Decode(t.fn.data[at:], arch.Addr(at))
		if err != nil || in.Len <= 0 || in.Len > len(t.fn.data)-at {
			return false
		}
		one := instruction{at: at, insn: in, first: ref, to: -1}
		one.effect, one.known = a.Effect(t.fn.data[at : at+in.Len])
		for ref < len(t.fn.refs) && t.fn.refs[ref].off < uint64(at+in.Len) {
			ref++
		}
		one.end = ref
		byAt[at] = len(t.code)
		t.code = append(t.code, one)
		at += in.Len
	}
	t.entries = make([]*machine, len(t.code))
	for k := range t.code {
		in := &t.code[k]
		if in.insn.Kind != arch.Jump && in.insn.Kind != arch.CondJump {
			continue
		}
		if in.first < in.end { // to elsewhere, by a relocation
			if in.insn.Kind == arch.CondJump && k+1 < len(t.code) {
				t.code[k+1].leads = true
			}
			continue
		}
		if to, here := byAt[int(in.insn.Target)]; here {
			in.to = to
			t.code[to].leads = true
		}
		if k+1 < len(t.code) {
			t.code[k+1].leads = true
		}
	}
	for _, from := range t.fn.object.atoms { // tables of labels: nobody knows what is known there
		for i := range from.refs {
			if r := &from.refs[i]; r.target == t.fn {
				if k, here := byAt[int(r.landing)]; here {
					t.code[k].leads, t.entries[k] = true, newMachine()
				}
			}
		}
	}
	if len(t.code) > 0 {
		t.code[0].leads, t.entries[0] = true, newMachine()
	}
	return true
}

// mostRounds is how often a block is looked at before its numbers are given up,
// and twice that before the function is.
const mostRounds = 4

// settle finds what is known at the start of each block, whichever way it is
// reached.
func (t *tracer) settle() bool {
	rounds := make([]int, len(t.code))
	queue := []int{}
	for k := range t.entries {
		if t.entries[k] != nil {
			queue = append(queue, k)
		}
	}
	for len(queue) > 0 {
		k := slices.Min(queue)
		queue = slices.DeleteFunc(queue, func(q int) bool { return q == k })
		if rounds[k]++; rounds[k] > 2*mostRounds {
			return false
		}
		t.block(t.entries[k].clone(), k, func(to int, m *machine) {
			if t.entries[to] == nil {
				t.entries[to] = m.clone()
			} else if !t.entries[to].join(m, rounds[to] >= mostRounds) {
				return
			}
			queue = append(queue, to)
		})
	}
	return true
}

// block runs the instructions of one block and tells where it leads.
func (t *tracer) block(m *machine, k int, leads func(to int, m *machine)) {
	for first := k; ; k++ {
		if k >= len(t.code) {
			return
		}
		if k > first && t.code[k].leads {
			if leads != nil {
				leads(k, m)
			}
			return
		}
		one := &t.code[k]
		t.step(m, one)
		switch one.insn.Kind {
		case arch.Plain, arch.Call, arch.IndirectCall:
			continue
		case arch.CondJump:
			if leads == nil {
				return
			}
			b, bounds := arch.Bound{}, false
			if t.fn.object.arch.Bound != nil {
				b, bounds = t.fn.object.arch.Bound(t.fn.data[one.at : one.at+one.insn.Len])
			}
			taken := m.clone()
			if bounds && b.Taken {
				taken.refine(b)
			} else if bounds {
				m.refine(b)
			}
			if one.to >= 0 {
				leads(one.to, taken)
			}
			if k+1 < len(t.code) {
				leads(k+1, m)
			}
		case arch.Jump:
			if leads != nil && one.to >= 0 {
				leads(one.to, m)
			}
		}
		return
	}
}
