// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"errors"
	"fmt"

	"github.com/ulpatch/ulpatch/arch"
)

// learn takes the operand that a field was solved for.
func (p *prover) learn(r *ref, by byte, v int64, need arch.Need, localExec bool) error {
	switch by {
	case 'S':
		return p.learnAddr(r, v)
	case 'T':
		return p.learnTLS(r, v-p.tpOffset())
	case 'D':
		if localExec {
			v -= p.tpOffset()
		}
		return p.learnTLS(r, v)
	case 'B':
		if arch.Addr(v) != p.got {
			return fmt.Errorf("global offset table at %#x instead of %#x", v, uint64(p.got))
		}
		return nil
	case 'G':
		return p.learnSlot(r, arch.Addr(v), need)
	}
	return errors.New("cannot be solved")
}

// tpOffset is the offset from the thread pointer of the image's TLS block.
func (p *prover) tpOffset() int64 {
	t := p.image.tls
	if t == nil {
		return 0
	}
	return p.object.arch.TPOffset(0, t.Memsz, t.Align, t.Vaddr)
}

// learnAddr: the start of the reference's target, or its symbol, is at v.
func (p *prover) learnAddr(r *ref, v int64) error {
	at := arch.Addr(v + symbolDelta(r)) // of the symbol
	if to, thunk := p.image.thunk(r, at); thunk {
		v, at = v+int64(to-at), to
	}
	if slot, stub := p.image.dyn.stubs[at]; stub {
		w, err := p.image.word(slot)
		switch {
		case err != nil:
			return err
		case w.sym != nil:
			return p.learnDynamic(r, w.sym, slot, at)
		case w.addr == 0 && r.target == nil && r.sym.bind == weakBind:
			p.binding(r.sym.name).absent = true
			return nil
		case r.target == nil: // a resolver decides which function it is
			return p.learnName(r.sym.name, at, w.ifunc)
		case r.target.ifunc():
			return nil
		}
		return fmt.Errorf("%s goes through the resolver at %#x", r.referent(), uint64(w.addr))
	}
	if r.target != nil {
		return p.place(r.target, arch.Addr(v))
	}
	if v == 0 && r.sym.bind == weakBind {
		p.binding(r.sym.name).absent = true
		return nil
	}
	return p.learnName(r.sym.name, at, false)
}

// thunk tells where a branch ends up that the linker sent through code of its
// own, its target being out of reach.
func (m *image) thunk(r *ref, at arch.Addr) (arch.Addr, bool) {
	if !r.branch {
		return 0, false
	}
	for _, s := range m.at(at) {
		if r.called(s.name) {
			return 0, false
		}
	}
	code, err := m.read(at, maxThunk)
	if err != nil {
		return 0, false
	}
	t, ok := m.arch.Trampoline(code, at)
	return t.To, ok && !t.Slot
}

const maxThunk = 32

// learnName: a symbol that the object does not define is at that address of the
// image. The image has to call it so, unless it got there by a resolver.
func (p *prover) learnName(name string, at arch.Addr, ifunc bool) error {
	known := ifunc
	for _, s := range p.image.named[name] {
		known = known || s.addr == at
	}
	if !known {
		return fmt.Errorf("%#x is not %s", uint64(at), name)
	}
	b := p.binding(name)
	if b.direct && b.addr != at {
		return fmt.Errorf("%s is at %#x here and at %#x elsewhere", name, uint64(at), uint64(b.addr))
	}
	b.direct, b.addr = true, at
	return nil
}

// learnDynamic: the dynamic linker looks the reference's symbol up.
func (p *prover) learnDynamic(r *ref, s *dynSymbol, slot, stub arch.Addr) error {
	if !r.called(s.name) {
		return fmt.Errorf("%s instead of %s", s.name, r.referent())
	}
	b := p.binding(r.lookup(s))
	b.dynamic, b.symbol = true, s
	if slot != 0 && (b.slot == 0 || slot < b.slot) {
		b.slot = slot
	}
	if stub != 0 {
		b.stub = stub
	}
	return nil
}

// lookup is the name by which the object refers to a dynamic symbol.
func (r *ref) lookup(s *dynSymbol) string {
	if r.target == nil {
		return r.sym.name
	}
	return s.name
}

// learnTLS: the target's offset in the image's TLS block.
func (p *prover) learnTLS(r *ref, off int64) error {
	if r.target != nil {
		return p.place(r.target, arch.Addr(off))
	}
	b := p.binding(r.sym.name)
	for _, s := range p.image.named[r.sym.name] {
		if s.addr == arch.Addr(off) {
			b.direct, b.tls, b.addr = true, true, arch.Addr(off)
			return nil
		}
	}
	return fmt.Errorf("TLS offset %#x is not %s", off, r.sym.name)
}

// learnSlot: the reference goes through a slot of the image.
func (p *prover) learnSlot(r *ref, slot arch.Addr, need arch.Need) error {
	if need == arch.NeedTLSLD {
		return nil
	}
	w, err := p.image.word(slot)
	if err != nil {
		return fmt.Errorf("slot: %w", err)
	}
	rel, relocated := p.image.dyn.words[slot]
	switch need {
	case arch.NeedGOT:
		if w.sym != nil {
			return p.learnDynamic(r, w.sym, slot, 0)
		}
		if w.ifunc {
			return nil // whatever the resolver chose
		}
		return p.learnAddr(r, int64(w.addr)-symbolDelta(r))
	case arch.NeedGOTTP, arch.NeedTLSDesc:
		if !relocated {
			return p.learnTLS(r, int64(w.addr)-p.tpOffset()-symbolDelta(r))
		}
		if rel.sym != nil {
			return p.learnDynamicTLS(r, rel.sym)
		}
		return p.learnTLS(r, rel.addend-symbolDelta(r))
	case arch.NeedTLSGD:
		if relocated && rel.sym != nil {
			return p.learnDynamicTLS(r, rel.sym)
		}
		w, err := p.image.word(slot + 8)
		if err != nil {
			return fmt.Errorf("slot: %w", err)
		}
		return p.learnTLS(r, int64(w.addr)-symbolDelta(r))
	}
	return errors.New("an unexpected use of a slot")
}

func (p *prover) learnDynamicTLS(r *ref, s *dynSymbol) error {
	if !r.called(s.name) {
		return fmt.Errorf("%s instead of %s", s.name, r.referent())
	}
	if s.defined && r.target != nil {
		if err := p.place(r.target, s.addr-arch.Addr(symbolDelta(r))); err != nil {
			return err
		}
	}
	b := p.binding(r.lookup(s))
	b.dynamic, b.tls, b.symbol = true, true, s
	return nil
}
