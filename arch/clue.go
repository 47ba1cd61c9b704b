// SPDX-License-Identifier: GPL-2.0-or-later

package arch

// Clue is what one relocated field of an image tells of an operand v: the bits
// Lo to Hi-1 of v + Addend are those of Sum. Where an instruction has no room
// for an address, it is computed by several, each with a relocation of its own
// that tells a part: a page (bits 12 to 63) and the place in it (0 to 11).
type Clue struct {
	By     byte // the operand, as in Linear
	Addend int64
	Sum    uint64
	Lo, Hi uint
}

// Clue reads what the field at o.P of an image tells. ok is false where it
// tells nothing.
func (h Howto) Clue(place []byte, o Operands) (c Clue, ok bool) {
	if h.Size == 0 || len(place) < h.Size || h.Expr.uses == 0 || h.NoAddend && o.A != 0 {
		return Clue{}, false
	}
	c = Clue{By: h.Expr.uses, Addend: o.A, Lo: h.Expr.lo, Hi: h.Expr.hi}
	o.A = 0
	c.Sum = uint64(h.Field.Get(place[:h.Size]) - h.Expr.without(o))
	return c, true
}

// Solve joins clues of one operand of one symbol, whose addends may differ. ok
// is false where they leave a bit of it open. Clues that contradict one another
// give a v from which one of their fields cannot be recomputed.
func Solve(clues []Clue) (v int64, ok bool) {
	var sum uint64 // v, as far as it is known
	known := uint(0)
	for progress := true; progress; {
		progress = false
		for _, c := range clues {
			if c.Lo > known || known >= c.Hi {
				continue
			}
			a := uint64(c.Addend)
			sum = ((sum+a)&lowBits(known) | c.Sum&lowBits(c.Hi)&^lowBits(known)) - a
			known, progress = c.Hi, true
		}
	}
	return int64(sum), known == 64
}

func lowBits(n uint) uint64 { return 1<<n - 1 }
