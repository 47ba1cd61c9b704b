// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"github.com/ulpatch/ulpatch/arch"
)

// Where an instruction reaches a field by a register that points to a structure
// and a constant, a field that moved shows as another constant. Code is compared
// without those constants here, and then they are.

// access is an instruction as a step, with the constant left out of it.
type access struct {
	at    uint64 // in the function
	code  []byte
	moves bool // it adds disp to base
	base  int
	disp  int64
	to    uint64 // of a branch within the function: where it goes
}

// displaced are the steps of a function and, for each, its access. They end where
// the code cannot be decoded.
func displaced(fn *atom) ([]step, []access) {
	cpu := fn.object.arch
	all := steps(fn)
	accesses := make([]access, len(all))
	at := 0
	for i := range all {
		in, err := cpu.Decode(fn.data[at:], arch.Addr(at))
		if err != nil {
			panic("steps have been decoded before")
		}
		a := &accesses[i]
		a.at, a.code = uint64(at), fn.data[at:at+in.Len]
		at += in.Len
		if all[i].end > all[i].first {
			continue
		}
		if in.PCRel {
			a.to = uint64(in.Target)
		}
		if in.PCRel || cpu.Displaced == nil {
			continue
		}
		d, ok := cpu.Displaced(a.code)
		if !ok || slices.Contains(cpu.StackBases, d.Base) {
			continue
		}
		a.moves, a.base, a.disp = true, d.Base, d.Disp
		var h maphash.Hash
		h.SetSeed(alignSeed)
		_, _ = h.WriteString("displaced ")
		_, _ = h.Write(d.Shape)
		all[i].token = h.Sum64()
	}
	return all, accesses
}

// shiftedAccess is shifted for a function that has the address of a variable in a
// register.
func (c *comparer) shiftedAccess(o, f *atom) (name string, d *Difference) {
	x, xs := displaced(o)
	y, ys := displaced(f)
	if !slices.EqualFunc(x, y, func(a, b step) bool { return a.token == b.token }) || !c.sameReferences(o, f, x, y) || !sameBranches(o, f, xs, ys) {
		return "", nil
	}
	for i := range xs {
		if xs[i].disp == ys[i].disp {
			continue
		}
		r := pointsTo(o, x, xs, i)
		if r == nil || pointsTo(f, y, ys, i) == nil || !within(r, xs[i].disp) {
			return "", nil
		}
		if d == nil {
			name = r.referentName()
			was, is := *r, *r
			was.landing += xs[i].disp
			is.landing += ys[i].disp
			d = &Difference{Offset: ys[i].at, What: fmt.Sprintf("refers to %s instead of %s", is.referent(), was.referent())}
		}
	}
	return name, d
}

// sameReferences says whether each instruction has the same references, wherever
// it is.
func (c *comparer) sameReferences(o, f *atom, x, y []step) bool {
	if len(o.refs) != len(f.refs) || len(x) > 0 && x[len(x)-1].end != len(o.refs) {
		return false
	}
	for i := range o.refs {
		r, s := &o.refs[i], &f.refs[i]
		if r.typ != s.typ || !c.sameReferent(r, s) || !c.sameBorder(o, f, r, s) {
			return false
		}
	}
	return slices.EqualFunc(x, y, func(a, b step) bool { return a.first == b.first })
}

// sameBranches says whether all code is decoded, and each branch within the
// function goes to the same instruction.
func sameBranches(o, f *atom, xs, ys []access) bool {
	places := func(all []access) (out map[uint64]int, end uint64) {
		out = map[uint64]int{}
		for i := range all {
			out[all[i].at] = i
			end = all[i].at + uint64(len(all[i].code))
		}
		return out, end
	}
	ox, oend := places(xs)
	fx, fend := places(ys)
	if oend != o.size || fend != f.size {
		return false
	}
	return slices.EqualFunc(xs, ys, func(a, b access) bool {
		i, in := ox[a.to]
		j, too := fx[b.to]
		return i == j && in == too
	})
}

// pointsTo is the reference to a variable by which an access got its base, nil
// where that is not clear from the code before it.
func pointsTo(fn *atom, all []step, accesses []access, i int) *ref {
	for j := i - 1; j >= 0; j-- {
		if !fn.object.arch.Sets(accesses[j].code, accesses[i].base) {
			continue
		}
		for k := all[j].first; k < all[j].end; k++ {
			if r := &fn.refs[k]; (hasLayout(fn, r) || r.target == nil && inSlot(fn, r)) && givesAddress(fn, accesses[j], r) {
				return r
			}
		}
		return nil
	}
	return nil
}

// givesAddress says whether an instruction leaves the address of what it refers
// to in its register, and not what is there.
func givesAddress(fn *atom, in access, r *ref) bool {
	cpu := fn.object.arch
	if inSlot(fn, r) {
		return true
	}
	if cpu.Effect != nil {
		steps, ok := cpu.Effect(in.code)
		return ok && len(steps) == 1 && givesPlace(&steps[0])
	}
	return !cpu.AccessReloc(r.typ, fn.data, int(in.at), int(r.off))
}

// givesPlace says whether a step leaves in a register what its reference tells.
// The upper part of an address comes in one instruction, the rest in another.
func givesPlace(e *arch.Effect) bool {
	return e.Op == arch.OpAddress || e.Src.Kind == arch.Immediate && e.ImmAt >= 0 && (e.Op == arch.OpMove || e.Op == arch.OpAdd)
}

// inSlot says whether a reference is to the slot that holds an address.
func inSlot(fn *atom, r *ref) bool { return fn.object.arch.Relocs[r.typ].Need == arch.NeedGOT }

// within says whether a place so far behind that of a reference is in the same
// variable, where that is known.
func within(r *ref, disp int64) bool {
	if r.target == nil {
		return true
	}
	at := r.landing + disp
	return at >= 0 && uint64(at) < r.target.size
}

// ShiftReport tells that accesses of changed functions moved by one distance, as
// if a structure were laid out otherwise.
type ShiftReport struct {
	By        int64    `json:"by"`       // bytes
	Accesses  int      `json:"accesses"` // that moved so
	Functions []string `json:"functions"`
	First     []string `json:"first"` // places, as FUNCTION+OFFSET: INSTRUCTION instead of INSTRUCTION
}

func (s *ShiftReport) String() string {
	where := s.Functions[0]
	if n := len(s.Functions); n > 1 {
		where = fmt.Sprintf("%d functions", n)
	}
	return fmt.Sprintf("%d accesses in %s moved by %+d bytes, so a structure's layout may have changed, and without debug information (-g) nothing tells which; look at the source: %s",
		s.Accesses, where, s.By, strings.Join(s.First, "; "))
}

// Fewer accesses that moved by one distance are not worth a warning: a fix may
// use another field, or another element of an array.
const (
	fewInOne     = 8
	fewInSeveral = 4
	firstPlaces  = 3
)

// suspectLayout notes where accesses moved, by the distance that most of them did.
func (u *unit) suspectLayout() {
	by := map[int64]*ShiftReport{}
	var most *ShiftReport
	for _, f := range u.fixed.atoms {
		if o := u.pairs.toOrig[f]; u.changed[f] != nil && o != nil {
			for _, s := range noteShifts(o, f, by) {
				if most == nil || s.Accesses > most.Accesses {
					most = s
				}
			}
		}
	}
	if most != nil && (most.Accesses >= fewInOne || most.Accesses >= fewInSeveral && len(most.Functions) > 1) {
		u.shifted = most
	}
}

// noteShifts adds the accesses of a function that moved to those of the same
// distance, which it returns in the order of the code.
func noteShifts(o, f *atom, by map[int64]*ShiftReport) (noted []*ShiftReport) {
	x, xs := displaced(o)
	y, ys := displaced(f)
	pairs := match(x, y)
	for _, j := range slices.Sorted(maps.Keys(pairs)) {
		was, is := xs[pairs[j]], ys[j]
		distance := is.disp - was.disp
		if !is.moves || distance == 0 {
			continue
		}
		s := by[distance]
		if s == nil {
			s = &ShiftReport{By: distance}
			by[distance] = s
		}
		s.Accesses++
		if !slices.Contains(s.Functions, f.name) {
			s.Functions = append(s.Functions, f.name)
		}
		if len(s.First) < firstPlaces {
			s.First = append(s.First, fmt.Sprintf("%s+%#x: %s instead of %s", f.name, is.at, disassemble(f, is.at), disassemble(o, was.at)))
		}
		noted = append(noted, s)
	}
	return noted
}
