// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"slices"

	"github.com/ulpatch/ulpatch/arch"
)

// step runs one instruction.
func (t *tracer) step(m *machine, one *instruction) {
	if !one.known {
		t.loseAll(m)
		*m = *newMachine()
		return
	}
	for i := range one.effects {
		t.effect(m, one, &one.effects[i])
	}
}

// effect runs a step of an instruction.
func (t *tracer) effect(m *machine, one *instruction, e *arch.Effect) {
	t.walk(m, one, e)
	if mem := memory(e); mem != nil && e.Access && t.noting {
		t.note(m, one, e, mem)
	}
	switch {
	case e.Op == arch.OpCall:
		t.handOver(m, t.fn.object.arch.Argument)
		for r := range m.regs {
			if !t.fn.object.arch.CalleeSaved(r) {
				m.regs[r] = value{}
			}
		}
		clear(m.slots)
		m.compared = -1
		return
	case e.Op == arch.OpCompare:
		t.compare(m, one, e)
		return
	case e.Flags:
		m.compared = -1
	}
	switch {
	case e.Dst.Kind == arch.Memory && e.Access && (e.Op != arch.OpNone || e.Src.Kind == arch.NoOperand):
		t.store(m, one, e)
	case e.Dst.Kind == arch.Register && e.Op != arch.OpNone:
		t.set(m, e.Dst.Reg, t.result(m, one, e))
	case e.Op == arch.OpUnknown: // goes to where nothing is followed
		t.lose(t.operand(m, one, e, &e.Left))
		t.lose(t.operand(m, one, e, &e.Src))
	}
}

// handOver notes the addresses that other code gets.
func (t *tracer) handOver(m *machine, in func(reg int) bool) {
	for r := range m.regs {
		if t.noting && in(r) {
			t.pass(m.regs[r])
		}
	}
}

// walk notes addresses to which an instruction adds, or that it puts where they are
// not followed any more by all means: in a vector register or in the frame.
func (t *tracer) walk(m *machine, one *instruction, e *arch.Effect) {
	if !t.noting {
		return
	}
	from := []int{}
	switch e.Op {
	case arch.OpNone, arch.OpZero, arch.OpCompare, arch.OpCall:
	case arch.OpAddress:
		from = append(from, e.Src.Base, e.Src.Index)
	case arch.OpMove:
		if _, own := t.slot(m, one, e, &e.Dst); e.Src.Kind == arch.Register && e.Dst.Kind == arch.Memory && own {
			from = append(from, e.Src.Reg)
		}
	default:
		for _, o := range []*arch.Operand{&e.Left, &e.Src} {
			if o.Kind == arch.Register {
				from = append(from, o.Reg)
			}
		}
	}
	for _, r := range from {
		if r >= 0 && m.regs[r].pointer() && t.spotOf[m.regs[r].ref] == nil {
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

// result is what an instruction makes of its operands. What is not known keeps
// the places that it may have been made of.
func (t *tracer) result(m *machine, one *instruction, e *arch.Effect) value {
	v := t.compute(m, one, e)
	if v.known {
		return v
	}
	for _, o := range []*arch.Operand{&e.Left, &e.Src} {
		switch {
		case o.Kind == arch.Memory && e.Op == arch.OpAddress:
			for _, r := range []int{o.Base, o.Index} {
				if r >= 0 {
					v.of = t.both(v.of, t.madeOf(m.regs[r]))
				}
			}
		case o.Kind == arch.Register:
			v.of = t.both(v.of, t.madeOf(m.regs[o.Reg]))
		case o.Kind == arch.Immediate, o.Kind == arch.Memory && e.Op == arch.OpMove:
			v.of = t.both(v.of, t.madeOf(t.operand(m, one, e, o)))
		}
	}
	return v
}

func (t *tracer) compute(m *machine, one *instruction, e *arch.Effect) value {
	if e.Dst.Bits < 32 && e.Dst.Kind == arch.Register {
		return value{}
	}
	src := func() value { return t.operand(m, one, e, &e.Src) }
	old := func() value { return t.operand(m, one, e, &e.Left).low(e.Bits) }
	switch e.Op {
	case arch.OpMove:
		return src().low(e.Bits)
	case arch.OpExtend:
		if most := int64(1)<<uint(min(max(e.Src.Bits, 1), 32)) - 1; e.Src.Bits > 0 {
			if v := src(); v.positive() && v.hi <= most {
				return v
			}
			return number(0, most)
		}
	case arch.OpSign:
		half := int64(1)<<uint(min(max(e.Src.Bits, 1), 32)-1) - 1
		if v := src(); v.positive() && v.hi <= half {
			return v.low(e.Bits)
		}
	case arch.OpAddress:
		return t.address(m, one, e, &e.Src).low(e.Bits)
	case arch.OpAdd:
		return t.add(old(), src()).low(e.Bits)
	case arch.OpSub:
		return old().minus(src()).low(e.Bits)
	case arch.OpMul:
		if v, w := old(), src(); w.positive() {
			return v.times(w).low(e.Bits)
		} else if v.positive() {
			return w.times(v).low(e.Bits)
		}
	case arch.OpAnd:
		if e.Src.Kind == arch.Immediate && e.Src.Imm >= 0 && !t.relocated(one, e.ImmAt) {
			v := old()
			if e.Src.Imm <= full32 && !v.known {
				v = v.low(32)
			}
			if v.positive() {
				return number(0, min(v.hi, e.Src.Imm)).sane()
			}
			return number(0, e.Src.Imm).sane()
		}
		if v := src(); v.positive() {
			return number(0, v.hi)
		}
	case arch.OpLeft:
		if e.Src.Kind == arch.Immediate && e.Src.Imm >= 0 && e.Src.Imm < 32 {
			return old().times(number(1<<uint(e.Src.Imm), 1<<uint(e.Src.Imm))).low(e.Bits)
		}
	case arch.OpRight:
		if v := old(); e.Src.Kind == arch.Immediate && e.Src.Imm >= 0 && e.Src.Imm < 64 && v.positive() {
			return number(v.lo>>uint(e.Src.Imm), v.hi>>uint(e.Src.Imm))
		}
	case arch.OpSelect:
		return old().either(src().low(e.Bits))
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
func (t *tracer) displacement(one *instruction, e *arch.Effect) int {
	for i := one.first; i < one.end; i++ {
		if int(t.fn.refs[i].off)-one.at != e.ImmAt {
			return i
		}
	}
	return -1
}

// operand is the value of an operand.
func (t *tracer) operand(m *machine, one *instruction, e *arch.Effect, o *arch.Operand) value {
	switch o.Kind {
	case arch.Register:
		if o.Bits == 64 {
			return m.regs[o.Reg]
		}
		if o.Bits >= 32 {
			return m.regs[o.Reg].low(o.Bits)
		}
	case arch.Immediate:
		if i := t.refAt(one, e.ImmAt); i >= 0 {
			return t.told(i)
		}
		return number(o.Imm, o.Imm).sane()
	case arch.Memory:
		if s, ok := t.slot(m, one, e, o); ok {
			if v := m.slots[s]; v.bits == e.Bits || v.bits == o.Bits {
				return v.value
			}
			return value{of: m.frame}
		}
	}
	return value{}
}

// told is the place that a reference tells, or a part of it.
func (t *tracer) told(i int) value {
	r := &t.fn.refs[i]
	if r.target == nil || r.target.kind == kindCode {
		return value{}
	}
	v := value{known: true, ref: i}
	switch by, lo, hi := t.fn.object.arch.Relocs[r.typ].Expr.Bits(); {
	case by == 0 || lo == 0 && hi == 64:
	case by == 'S' && lo > 0 && hi > 32:
		v.part = part{bit: uint8(lo)}
	case by == 'S' && lo == 0 && hi < 32:
		v.part = part{bit: uint8(hi), lower: true}
	default:
		return value{of: t.madeOf(v)}
	}
	return v
}

// add adds two values, which may be the parts of a place.
func (t *tracer) add(v, w value) value {
	if v.part.lower {
		v, w = w, v
	}
	if !w.known || !w.part.lower {
		return v.plus(w)
	}
	if v.known && v.part.bit == w.part.bit && !v.part.lower && t.sameSpot(v.ref, t.spotOf[w.ref]) {
		t.spotOf[v.ref].lower = appendNew(t.spotOf[v.ref].lower, t.spotOf[w.ref])
		return value{known: true, ref: w.ref}
	}
	if t.noting {
		t.astray[t.fn.refs[w.ref].target.section] = true
	}
	return value{}
}

// address is that of a memory operand.
func (t *tracer) address(m *machine, one *instruction, e *arch.Effect, o *arch.Operand) value {
	at := number(o.Imm, o.Imm)
	if i := t.displacement(one, e); i >= 0 {
		at = t.told(i)
	} else if o.Counter {
		return value{}
	}
	if o.Base >= 0 {
		at = t.add(at, m.regs[o.Base])
	}
	if o.Index >= 0 {
		at = at.plus(m.regs[o.Index].times(number(o.Scale, o.Scale)))
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
func (t *tracer) note(m *machine, one *instruction, e *arch.Effect, o *arch.Operand) {
	at := t.address(m, one, e, o)
	if !at.pointer() {
		t.reach(m, one, e, o)
		return
	}
	var in *atom
	if size := int64(e.Size); size > 0 {
		in = t.within(at.ref, at.lo, at.hi+size)
		if at.moves && (in != t.within(at.ref, at.nextLo, at.nextHi+size) || t.around(at.since, one.block)) {
			in = nil
		}
	}
	if in == nil {
		t.stray(at)
		return
	}
	t.use(at.ref, in)
}

// reach takes down that an index of which nothing is known is added to an address.
func (t *tracer) reach(m *machine, one *instruction, e *arch.Effect, o *arch.Operand) {
	for _, r := range []int{o.Base, o.Index} {
		if r >= 0 {
			t.stray(m.regs[r])
		}
	}
	if i := t.displacement(one, e); i >= 0 {
		t.stray(t.told(i))
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
func (t *tracer) slot(m *machine, one *instruction, e *arch.Effect, o *arch.Operand) (slot, bool) {
	own := o.Kind == arch.Memory && o.Index < 0 && slices.Contains(t.fn.object.arch.StackBases, o.Base) && t.displacement(one, e) < 0
	if !own || m.regs[o.Base].pointer() {
		return slot{}, false
	}
	return slot{o.Base, o.Imm}, true
}

// store writes memory. What is written through an address that is not the frame's
// may be anywhere, and so may a vector register's end.
func (t *tracer) store(m *machine, one *instruction, e *arch.Effect) {
	s, own := t.slot(m, one, e, &e.Dst)
	if !own || e.Op == arch.OpNone {
		if e.Op != arch.OpNone && t.noting {
			t.pass(t.operand(m, one, e, &e.Src))
		}
		clear(m.slots)
		return
	}
	v := t.result(m, one, e)
	m.frame = t.both(m.frame, t.madeOf(v))
	m.forget(s)
	if e.Bits >= 32 && v.known {
		m.slots[s] = slotValue{v, e.Bits}
	}
}

// compare notes two addresses that are compared, and a number that limits a
// register.
func (t *tracer) compare(m *machine, one *instruction, e *arch.Effect) {
	m.compared = -1
	x, y := t.operand(m, one, e, &e.Left), t.operand(m, one, e, &e.Src)
	if t.noting {
		t.border(x, y)
		t.border(y, x)
	}
	if x.pointer() && y.pointer() && x.ref != y.ref {
		if t.noting && x.moves && !y.moves {
			t.linked = append(t.linked, link{x.ref, y.ref})
		}
		if t.noting && y.moves && !x.moves {
			t.linked = append(t.linked, link{y.ref, x.ref})
		}
		return
	}
	if e.Left.Kind != arch.Register || e.Left.Bits < 32 || !y.number() || t.relocated(one, e.ImmAt) {
		return
	}
	if limit := y.low(e.Left.Bits); limit.positive() {
		m.compared, m.limit, m.bits = e.Left.Reg, limit.hi, e.Left.Bits
	}
}
