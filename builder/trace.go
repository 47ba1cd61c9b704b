// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"slices"

	"github.com/ulpatch/ulpatch/arch"
)

// step runs one instruction.
func (t *tracer) step(m *machine, one *instruction) {
	e := &one.effect
	t.walk(m, one)
	if !one.known {
		*m = *newMachine()
		return
	}
	if mem := memory(e); mem != nil && e.Access && t.noting {
		t.note(m, one, mem, e.Size)
	}
	switch e.Op {
	case arch.OpCall:
		for r := range m.regs {
			if !t.fn.object.arch.CalleeSaved(r) {
				m.regs[r] = value{}
			}
		}
		clear(m.slots)
		m.compared = -1
		return
	case arch.OpCompare:
		t.compare(m, one)
		return
	case arch.OpMove, arch.OpAddress, arch.OpExtend, arch.OpSign: // flags stay
	case arch.OpNone:
		if e.Dst.Kind != arch.NoOperand {
			m.compared = -1
		}
	default:
		m.compared = -1
	}
	switch {
	case e.Dst.Kind == arch.Memory && e.Access && (e.Op != arch.OpNone || e.Src.Kind == arch.NoOperand):
		t.store(m, one)
	case e.Dst.Kind == arch.Register && e.Op != arch.OpNone:
		t.set(m, e.Dst.Reg, t.result(m, one))
	}
}

// walk notes addresses to which an instruction adds, or that it puts where they are
// not followed any more by all means: in a vector register or in the frame.
func (t *tracer) walk(m *machine, one *instruction) {
	e := &one.effect
	from := []int{}
	switch e.Op {
	case arch.OpNone, arch.OpZero, arch.OpCompare, arch.OpCall:
	case arch.OpAddress:
		from = append(from, e.Src.Base, e.Src.Index)
	case arch.OpMove:
		if _, own := t.slot(m, one, &e.Dst); e.Src.Kind == arch.Register && e.Dst.Kind == arch.Memory && own {
			from = append(from, e.Src.Reg)
		}
	default:
		for _, o := range []*arch.Operand{&e.Dst, &e.Src} {
			if o.Kind == arch.Register {
				from = append(from, o.Reg)
			}
		}
	}
	for _, r := range from {
		if r >= 0 && m.regs[r].pointer() {
			t.walked[m.regs[r].ref] = true
		}
	}
}

func (t *tracer) set(m *machine, reg int, v value) {
	m.regs[reg] = v
	if m.compared == reg {
		m.compared = -1
	}
	if slices.Contains(t.fn.object.arch.StackBases, reg) {
		clear(m.slots)
	}
}

// result is what an instruction makes of its operands.
func (t *tracer) result(m *machine, one *instruction) value {
	e := &one.effect
	if e.Dst.Bits < 32 && e.Dst.Kind == arch.Register {
		return value{}
	}
	src := func() value { return t.operand(m, one, &e.Src) }
	old := func() value { return t.operand(m, one, &e.Dst).low(e.Bits) }
	switch e.Op {
	case arch.OpMove:
		return src().low(e.Bits)
	case arch.OpExtend:
		if most := int64(1)<<uint(min(max(e.Src.Bits, 1), 32)) - 1; e.Src.Bits > 0 {
			if v := src(); v.known && v.ref < 0 && v.lo >= 0 && v.hi <= most {
				return v
			}
			return number(0, most)
		}
	case arch.OpSign:
		half := int64(1)<<uint(min(max(e.Src.Bits, 1), 32)-1) - 1
		if v := src(); v.known && v.ref < 0 && v.lo >= 0 && v.hi <= half {
			return v.low(e.Bits)
		}
	case arch.OpAddress:
		return t.address(m, one, &e.Src).low(e.Bits)
	case arch.OpAdd:
		return old().plus(src()).low(e.Bits)
	case arch.OpSub:
		return old().minus(src()).low(e.Bits)
	case arch.OpAnd:
		if e.Src.Kind == arch.Immediate && e.Src.Imm >= 0 && !t.relocated(one, e.ImmAt) {
			if v := old(); v.known && v.ref < 0 && v.lo >= 0 {
				return number(0, min(v.hi, e.Src.Imm))
			}
			return number(0, e.Src.Imm)
		}
		if v := src(); v.known && v.ref < 0 && v.lo >= 0 {
			return number(0, v.hi)
		}
		return value{}.low(e.Bits)
	case arch.OpLeft:
		if e.Src.Kind == arch.Immediate && e.Src.Imm >= 0 && e.Src.Imm < 32 {
			return old().times(1 << uint(e.Src.Imm)).low(e.Bits)
		}
	case arch.OpRight:
		if v := old(); e.Src.Kind == arch.Immediate && e.Src.Imm >= 0 && e.Src.Imm < 64 && v.known && v.ref < 0 && v.lo >= 0 {
			return number(v.lo>>uint(e.Src.Imm), v.hi>>uint(e.Src.Imm))
		}
	case arch.OpZero:
		return number(0, 0)
	}
	return value{}.low(e.Bits)
}

func (t *tracer) relocated(one *instruction, at int) bool { return t.refAt(one, at) >= 0 }

// refAt is the reference of an instruction whose field is at an offset in it.
func (t *tracer) refAt(one *instruction, at int) int {
	for i := one.first; i < one.end; i++ {
		if int(t.fn.refs[i].off)-one.at == at {
			return i
		}
	}
	return -1
}

// displacement is the reference that fills the displacement of the memory operand.
func (t *tracer) displacement(one *instruction) int {
	for i := one.first; i < one.end; i++ {
		if int(t.fn.refs[i].off)-one.at != one.effect.ImmAt {
			return i
		}
	}
	return -1
}

// operand is the value of an operand.
func (t *tracer) operand(m *machine, one *instruction, o *arch.Operand) value {
	switch o.Kind {
	case arch.Register:
		if o.Bits >= 32 {
			return m.regs[o.Reg].low(o.Bits)
		}
	case arch.Immediate:
		if i := t.refAt(one, one.effect.ImmAt); i >= 0 {
			return t.told(i)
		}
		return number(o.Imm, o.Imm).sane()
	case arch.Memory:
		if s, ok := t.slot(m, one, o); ok {
			if v := m.slots[s]; v.bits == one.effect.Bits || v.bits == o.Bits {
				return v.value
			}
		}
	}
	return value{}
}

// told is the place that a reference tells.
func (t *tracer) told(i int) value {
	if r := &t.fn.refs[i]; r.target == nil || r.target.kind == kindCode {
		return value{}
	}
	return value{known: true, ref: i}
}

// address is that of a memory operand.
func (t *tracer) address(m *machine, one *instruction, o *arch.Operand) value {
	at := number(o.Imm, o.Imm)
	if i := t.displacement(one); i >= 0 {
		at = t.told(i)
	} else if o.Counter {
		return value{}
	}
	if o.Base >= 0 {
		at = at.plus(m.regs[o.Base])
	}
	if o.Index >= 0 {
		at = at.plus(m.regs[o.Index].times(o.Scale))
	}
	return at
}

func memory(e *arch.Effect) *arch.Operand {
	switch {
	case e.Dst.Kind == arch.Memory:
		return &e.Dst
	case e.Src.Kind == arch.Memory:
		return &e.Src
	}
	return nil
}

// note takes down what an instruction reads or writes through a reference, if
// that is within one variable for sure. What is not leaves the reference open:
// there may be an index of which nothing is known.
func (t *tracer) note(m *machine, one *instruction, o *arch.Operand, size int) {
	at := t.address(m, one, o)
	if !at.pointer() {
		t.reach(m, o)
	}
	if !at.pointer() || size <= 0 {
		return
	}
	in := t.within(at.ref, at.lo, at.hi+int64(size))
	if in == nil || at.moves && (in != t.within(at.ref, at.nextLo, at.nextHi+int64(size)) || t.around(at.since, one.block)) {
		return
	}
	if !slices.Contains(t.used[at.ref], in) {
		t.used[at.ref] = append(t.used[at.ref], in)
	}
}

// reach takes down that an index of which nothing is known is added to an address.
func (t *tracer) reach(m *machine, o *arch.Operand) {
	for _, r := range []int{o.Base, o.Index} {
		if r >= 0 && m.regs[r].pointer() {
			t.walked[m.regs[r].ref] = true
		}
	}
}

// within is the atom that holds all from and to, counted from where a reference
// leads.
func (t *tracer) within(ref int, from, to int64) *atom {
	for _, a := range t.fn.refs[ref].target.section.atoms {
		if at := t.place(ref); int64(a.off) <= at+from && at+to <= int64(a.off+a.size) {
			return a
		}
	}
	return nil
}

// slot is the place of the function's own frame that a memory operand is.
func (t *tracer) slot(m *machine, one *instruction, o *arch.Operand) (slot, bool) {
	own := o.Index < 0 && slices.Contains(t.fn.object.arch.StackBases, o.Base) && t.displacement(one) < 0
	if !own || m.regs[o.Base].pointer() {
		return slot{}, false
	}
	return slot{o.Base, o.Imm}, true
}

// store writes memory. What is written through an address that is not the frame's
// may be anywhere, and so may a vector register's end.
func (t *tracer) store(m *machine, one *instruction) {
	e := &one.effect
	s, own := t.slot(m, one, &e.Dst)
	if !own || e.Op == arch.OpNone {
		clear(m.slots)
		return
	}
	v := t.result(m, one)
	m.forget(s)
	if e.Bits >= 32 && v.known {
		m.slots[s] = slotValue{v, e.Bits}
	}
}

// compare notes two addresses that are compared, and a number that limits a
// register.
func (t *tracer) compare(m *machine, one *instruction) {
	e := &one.effect
	m.compared = -1
	x, y := t.operand(m, one, &e.Dst), t.operand(m, one, &e.Src)
	if x.pointer() && y.pointer() && x.ref != y.ref {
		if t.noting && x.moves && !y.moves {
			t.linked = append(t.linked, link{x.ref, y.ref})
		}
		if t.noting && y.moves && !x.moves {
			t.linked = append(t.linked, link{y.ref, x.ref})
		}
		return
	}
	if e.Dst.Kind == arch.Register && e.Dst.Bits >= 32 && e.Src.Kind == arch.Immediate && !t.relocated(one, e.ImmAt) {
		m.compared, m.limit, m.bits = e.Dst.Reg, e.Src.Imm, e.Dst.Bits
	}
}
