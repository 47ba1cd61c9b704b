// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"fmt"
	"hash/maphash"
	"maps"
	"slices"

	"github.com/ulpatch/ulpatch/arch"
)

// Two versions of a function are aligned by the stretches of instructions that
// they share. A stretch counts only if somewhere in it are a few instructions
// in a row that occur once in each version; from there it is followed both ways.
// What two stretches place differently is left out. So what is aligned comes
// from the same line of the source, as far as code can tell.

// runLength is how many instructions in a row have to be unique.
const runLength = 3

// alignment gives the reference of the original function for a reference of the
// fixed one, by their indexes.
type alignment map[int]int

var alignSeed = maphash.MakeSeed()

// step is an instruction as it is compared.
type step struct {
	token      uint64
	first, end int // its references
	branch     bool
}

func align(o, f *atom) alignment {
	x, y := steps(o), steps(f)
	pairs := alignment{}
	for j, i := range match(x, y) {
		if x[i].end-x[i].first != y[j].end-y[j].first {
			continue
		}
		for k := range y[j].end - y[j].first {
			pairs[y[j].first+k] = x[i].first + k
		}
	}
	return pairs
}

// match gives the instruction of x for an instruction of y, by their indexes.
func match(x, y []step) map[int]int {
	ox, oy := uniqueRuns(x), uniqueRuns(y)
	toO, toF := map[int]int{}, map[int]int{}
	const doubt = -1
	note := func(i, j int) {
		if old, known := toO[j]; known && old != i {
			toO[j] = doubt
		} else {
			toO[j] = i
		}
		if old, known := toF[i]; known && old != j {
			toF[i] = doubt
		} else {
			toF[i] = j
		}
	}
	done := map[int]int{} // by diagonal: the end of what was followed already
	for j := 0; j+runLength <= len(y); j++ {
		run := runAt(y, j)
		i, common := ox[run]
		if !common || i < 0 || oy[run] < 0 {
			continue
		}
		if end, followed := done[j-i]; followed && j < end {
			continue
		}
		for k := 1; i-k >= 0 && j-k >= 0 && x[i-k].token == y[j-k].token; k++ {
			note(i-k, j-k)
		}
		end := j
		for ; i+end-j < len(x) && end < len(y) && x[i+end-j].token == y[end].token; end++ {
			note(i+end-j, end)
		}
		done[j-i] = end
	}
	maps.DeleteFunc(toO, func(_, i int) bool { return i == doubt || toF[i] == doubt })
	return toO
}

// anchored tells whether references to an atom of the original function and to
// one of the fixed belong together for sure: where they are aligned, the code
// goes on alike on both sides; or a literal that occurs once in each version is
// used right beside them. Where one came or went, only the literal tells: the same
// line of source twice in a row goes on like itself. The instructions that refer to members themselves do
// not count.
func anchored(o, f, from, to *atom, members []*atom, came bool) bool {
	look := lookout{f: f, x: steps(o), y: steps(f), members: members}
	pairs := align(o, f)
	for j, fixed := range look.y {
		for r := fixed.first; r < fixed.end; r++ {
			if f.refs[r].target != to {
				continue
			}
			for i, orig := range look.x {
				for q := orig.first; q < orig.end; q++ {
					if o.refs[q].target != from || orig.token != fixed.token {
						continue
					}
					before, literalBefore := look.along(i, j, -1)
					after, literalAfter := look.along(i, j, +1)
					was, aligned := pairs[r]
					alike := aligned && was == q && before && after && !came
					if literalBefore || literalAfter || alike {
						return true
					}
				}
			}
		}
	}
	return false
}

type lookout struct {
	f       *atom
	x, y    []step
	members []*atom
}

// once tells whether an instruction occurs once in each version.
func (l lookout) once(token uint64) bool {
	count := func(s []step) (n int) {
		for _, one := range s {
			if one.token == token {
				n++
			}
		}
		return n
	}
	return count(l.x) == 1 && count(l.y) == 1
}

// along follows equal instructions in one direction. alike: two that say
// something of their own were met; literal: one of the next two uses a literal
// that occurs nowhere else.
func (l lookout) along(i, j, by int) (alike, literal bool) {
	const enough, beside = 2, 2
	said := 0
	for n := 1; said < enough; n++ {
		i, j = i+by, j+by
		if i < 0 || j < 0 || i >= len(l.x) || j >= len(l.y) || l.x[i].token != l.y[j].token {
			return false, literal
		}
		one := l.y[j]
		own := !one.branch
		for r := one.first; r < one.end; r++ {
			t := l.f.refs[r].target
			own = own && !slices.Contains(l.members, t)
			if t != nil && t.section.pieces != nil && n <= beside && l.once(one.token) {
				literal = true
			}
		}
		if own {
			said++
		}
	}
	return true, literal
}

// uniqueRuns gives the place of each run of instructions, -1 for one that
// occurs several times.
func uniqueRuns(s []step) map[uint64]int {
	at := make(map[uint64]int, len(s))
	for i := 0; i+runLength <= len(s); i++ {
		run := runAt(s, i)
		if _, again := at[run]; again {
			at[run] = -1
		} else {
			at[run] = i
		}
	}
	return at
}

func runAt(s []step, i int) uint64 {
	var h maphash.Hash
	h.SetSeed(alignSeed)
	for _, one := range s[i : i+runLength] {
		maphash.WriteComparable(&h, one.token)
	}
	return h.Sum64()
}

// steps are the instructions of a function without what moves: the distances of
// its own branches, and which variable a reference is to. It ends where the code
// cannot be decoded.
func steps(fn *atom) []step {
	var out []step
	code := masked(fn)
	ref := 0
	for at := 0; at < len(fn.data); {
		in, err := fn.object.arch.Decode(fn.data[at:], arch.Addr(at))
		if err != nil || in.Len <= 0 || in.Len > len(fn.data)-at {
			break
		}
		var h maphash.Hash
		h.SetSeed(alignSeed)
		one := step{first: ref, branch: in.Kind != arch.Plain && in.Kind != arch.Call}
		for ; ref < len(fn.refs) && fn.refs[ref].off < uint64(at+in.Len); ref++ {
			fmt.Fprintf(&h, "%d %s;", fn.refs[ref].typ, fn.refs[ref].gist())
		}
		one.end = ref
		bytes := append([]byte(nil), code[at:at+in.Len]...)
		if in.PCRel && one.end == one.first {
			clear(bytes[in.FieldOff : in.FieldOff+in.FieldLen])
		}
		_, _ = h.Write(bytes)
		one.token = h.Sum64()
		out = append(out, one)
		at += in.Len
	}
	return out
}

// gist names what a reference is to where that is beyond doubt.
func (r *ref) gist() string {
	switch {
	case r.target == nil:
		return r.sym.name
	case r.target.kind == kindCode:
		return "function " + r.target.name
	case r.target.section.pieces != nil:
		return fmt.Sprintf("literal %q%+d", r.target.data, r.landing)
	}
	return "data"
}
