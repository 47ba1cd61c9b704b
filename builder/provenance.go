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
// proved, and what else is known of them. All is nil where the function cannot be
// followed.
func meanings(fn *atom) (f followed) {
	if fn.object.arch.Effect == nil {
		return f
	}
	t := &tracer{fn: fn, used: map[int][]*atom{}, walked: map[int]bool{}}
	t.findSpots()
	if !t.decode() || !t.settle() {
		return f
	}
	t.noting = true
	for k := range t.code {
		if in := t.entries[k]; in != nil {
			t.block(in.clone(), k, nil)
		}
	}
	f.means, f.walked, f.spots = map[int]*atom{}, t.walked, map[int]*spot{}
	if t.reachedAll() {
		for i, p := range t.spotOf {
			if p == nil || t.astray[p.section] {
				continue
			}
			if p = p.whole(); !p.lost {
				f.spots[i] = p
			}
		}
	}
	for i, seen := range t.used {
		if len(seen) == 1 {
			f.means[i] = seen[0]
		}
	}
	for _, l := range t.linked {
		a := f.means[l.moved]
		if r := &fn.refs[l.moved]; a == nil && len(t.used[l.moved]) == 0 && !r.doubtful() {
			a = r.target
		}
		if a == nil || len(t.used[l.with]) > 0 || f.means[l.with] != nil && f.means[l.with] != a {
			continue
		}
		at := t.place(l.with)
		if sec := fn.refs[l.with].target.section; sec == a.section && at >= int64(a.off) && at <= int64(a.off+a.size) {
			f.means[l.with] = a
		}
	}
	return f
}

// followed is what following the addresses of a function told, by reference.
type followed struct {
	means  map[int]*atom
	walked map[int]bool  // to its address something is added; nil where the function cannot be followed
	spots  map[int]*spot // of those that tell a part of an address, if all that is done with it is known
}

// tracer follows the addresses of a function.
type tracer struct {
	fn      *atom
	code    []instruction
	entries []*machine // of instructions that a block begins with: what is known there
	ways    [][]way    // by which a block is reached
	labels  []int      // blocks that tables lead to
	noting  bool
	used    map[int][]*atom // by reference: what is read or written through it
	linked  []link
	walked  map[int]bool // references to whose address something is added

	spotOf []*spot           // by reference, of those that tell a part of an address
	astray map[*section]bool // an address in it was made that is not known
	sets   []originSet
}

// instruction is one of a function, decoded.
type instruction struct {
	at         int
	insn       arch.Insn
	effects    []arch.Effect
	known      bool
	first, end int // its references
	to         int // index of the instruction that it branches to; -1: none of the function
	block      int // index of the instruction that its block begins with
	leads      bool
}

// way is one from another block, and what is known on it.
type way struct {
	from  int // -1: from where nobody knows
	known *machine
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
		one.effects, one.known = a.Effect(t.fn.data[at : at+in.Len])
		for ref < len(t.fn.refs) && t.fn.refs[ref].off < uint64(at+in.Len) {
			ref++
		}
		one.end = ref
		byAt[at] = len(t.code)
		t.code = append(t.code, one)
		at += in.Len
	}
	t.entries, t.ways = make([]*machine, len(t.code)), make([][]way, len(t.code))
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
	t.findLabels(byAt)
	if len(t.code) > 0 {
		t.enter(0)
	}
	block := 0
	for k := range t.code {
		if t.code[k].leads {
			block = k
		}
		t.code[k].block = block
	}
	return true
}

// enter makes a block of which nothing is known.
func (t *tracer) enter(k int) {
	t.code[k].leads, t.entries[k] = true, newMachine()
	t.ways[k] = []way{{-1, newMachine()}}
}

// findLabels finds the instructions that tables lead to. What is known there is
// what is known where the function jumps by a table; if it is not only this
// function that does, nobody knows.
func (t *tracer) findLabels(byAt map[int]int) {
	jumps := slices.ContainsFunc(t.code, func(one instruction) bool { return one.insn.Kind == arch.IndirectJump })
	whole := t.fn.parent == nil && len(t.fn.colds) == 0
	for _, from := range t.fn.object.atoms {
		for i := range from.refs {
			r := &from.refs[i]
			k, here := byAt[int(r.landing)]
			switch {
			case r.target != t.fn || !here || from == t.fn:
			case jumps && whole && from.kind != kindCode:
				t.labels = append(t.labels, k)
			default:
				t.enter(k)
			}
		}
	}
	if jumps {
		t.findDistances(byAt)
	}
	for _, k := range t.labels {
		t.code[k].leads = true
	}
}

// findDistances finds what tables lead to that have distances from an address in
// the function, counted in instructions, which no relocation shows. Where a table
// begins, how wide its entries are, and where it ends, is not clear: all that it
// may lead to is taken.
func (t *tracer) findDistances(byAt map[int]int) {
	const unit = 4
	var bases []int
	for k := range t.code {
		if one := &t.code[k]; one.insn.Kind == arch.Plain && one.insn.PCRel && one.first == one.end && one.insn.Target <= arch.Addr(len(t.fn.data)) {
			bases = append(bases, int(one.insn.Target))
		}
	}
	if len(bases) == 0 {
		return
	}
	leads := map[int]bool{}
	for i := range t.fn.refs {
		r := &t.fn.refs[i]
		if r.target == nil || r.target.kind != kindLiteral || r.target.section.merged() || r.landing < 0 || r.landing > int64(len(r.target.data)) {
			continue
		}
		table := r.target.data[r.landing:]
		for _, base := range bases {
			for n := range table {
				distances := []int{int(table[n]), int(int8(table[n]))}
				if n%2 == 0 && n+1 < len(table) {
					two := uint16(table[n]) | uint16(table[n+1])<<8
					distances = append(distances, int(two), int(int16(two)))
				}
				for _, d := range distances {
					if k, here := byAt[base+unit*d]; here && !leads[k] {
						leads[k] = true
						t.labels = append(t.labels, k)
					}
				}
			}
		}
	}
}

// reachedAll says whether there is no code to which no way was found.
func (t *tracer) reachedAll() bool {
	reached := false
	for k := range t.code {
		one := &t.code[k]
		if one.leads {
			reached = t.entries[k] != nil
		}
		if !reached && !one.insn.Nop && one.insn.Kind != arch.Stop {
			return false
		}
		switch one.insn.Kind {
		case arch.Jump, arch.IndirectJump, arch.Return, arch.Stop:
			reached = false
		}
	}
	return true
}

const (
	mostRounds = 4  // how often a block is looked at before its numbers are given up
	endless    = 64 // and before the function is; what an address may be made of still grows by then
)

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
		if rounds[k]++; rounds[k] > endless {
			return false
		}
		t.block(t.entries[k].clone(), k, func(to int, m *machine) {
			if t.arrive(k, to, m, rounds[to]) {
				queue = append(queue, to)
			}
		})
	}
	return true
}

// arrive notes what is known on the way from one block to another, in place of
// what an earlier round told, and returns whether that changes what is known where
// it leads.
func (t *tracer) arrive(from, to int, m *machine, rounds int) bool {
	i := slices.IndexFunc(t.ways[to], func(w way) bool { return w.from == from })
	if i < 0 {
		i = len(t.ways[to])
		t.ways[to] = append(t.ways[to], way{from: from})
	}
	t.ways[to][i].known = m.clone()
	all := t.ways[to][0].known.clone()
	for _, w := range t.ways[to][1:] {
		all.merge(w.known, func(v, w value) value { return t.keep(v.join(w, to), v, w) })
		all.frame = t.both(all.frame, w.known.frame)
	}
	if old := t.entries[to]; old != nil {
		all.merge(old, func(v, w value) value { return t.keep(v.widen(w, rounds), v, w) })
		all.frame = t.both(all.frame, old.frame)
		if all.equal(old) {
			return false
		}
	}
	t.entries[to] = all
	return true
}

// around says whether a loop can go round from a block to itself without another.
// What is in that one is then not done in every round, and perhaps not in the first.
func (t *tracer) around(loop, without int) bool {
	seen := map[int]bool{without: true}
	queue := []int{loop}
	for len(queue) > 0 && loop != without {
		to := queue[0]
		queue = queue[1:]
		for _, w := range t.ways[to] {
			if w.from == loop && !seen[loop] {
				return true
			}
			if w.from >= 0 && !seen[w.from] {
				seen[w.from] = true
				queue = append(queue, w.from)
			}
		}
	}
	return false
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
			if one.to < 0 {
				t.leave(m, one)
			}
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
			return
		case arch.Jump:
			if leads != nil && one.to >= 0 {
				leads(one.to, m)
			}
			if one.to >= 0 {
				return
			}
		case arch.IndirectJump:
			for _, to := range t.labels {
				if leads != nil {
					leads(to, m)
				}
			}
		}
		t.leave(m, one)
		return
	}
}
