// SPDX-License-Identifier: GPL-2.0-or-later

package arch

import "fmt"

// Rewrite is what a linker did to the instructions round a relocation where it
// did more than fill in the field: it knew the final address and chose a
// shorter way to it. All offsets are in bytes, from the relocation's own.
type Rewrite struct {
	// Name tells the rewrite in a report: "mov x@GOTPCREL(%rip) -> lea x(%rip)".
	Name string
	// Start and End bound the instructions that changed. Relocations of the
	// object in between belong to the rewrite.
	Start, End int
	// Bytes are the End-Start bytes that the linker wrote, the field of Howto
	// being zero.
	Bytes []byte

	// Howto is what the field holds now, and its place lies at Off. It gives S
	// (or TP, or G) back, or a clue, and recomputes the field from it. A marker has
	// none.
	Howto Howto
	Off   int
	// AddendDelta is the addend of Howto less that of the object's relocation.
	AddendDelta int64

	// LocalExec says that the block's address became the thread pointer, so that
	// the DTP-relative relocations of the same code hold TP-relative offsets.
	LocalExec bool

	// Veneer says that the instruction was moved away: the S of Howto is where
	// it stands now, relocated by the row of its own type and followed by a jump
	// to what came behind it.
	Veneer bool
}

// Expect returns the bytes from Start to End that the image has to hold. o has
// the A and P of the object's relocation, as laid out in the image.
func (r Rewrite) Expect(o Operands) ([]byte, error) {
	out := append([]byte(nil), r.Bytes...)
	at := r.Off - r.Start
	if at < 0 || at+r.Howto.Size > len(out) {
		return nil, fmt.Errorf("%s: %w", r.Name, ErrPlace)
	}
	if err := r.Howto.Apply(out[at:], r.operands(o)); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	return out, nil
}

// Solve reads the operand (its letter is returned too) back out of the bytes
// from Start to End of an image, where they tell all of it. o is as in Expect.
func (r Rewrite) Solve(linked []byte, o Operands) (by byte, v int64, ok bool) {
	at := r.Off - r.Start
	if r.Howto.Size == 0 || at < 0 || at+r.Howto.Size > len(linked) {
		return 0, 0, false
	}
	x := r.Howto.Field.Get(linked[at : at+r.Howto.Size])
	return r.Howto.Expr.Solve(x, r.operands(o))
}

// Clue is what the bytes from Start to End of an image tell, where they do not
// tell all. o is as in Expect.
func (r Rewrite) Clue(linked []byte, o Operands) (Clue, bool) {
	at := r.Off - r.Start
	if at < 0 || at > len(linked) {
		return Clue{}, false
	}
	return r.Howto.Clue(linked[at:], r.operands(o))
}

func (r Rewrite) operands(o Operands) Operands {
	o.A += r.AddendDelta
	o.P += Addr(r.Off)
	return o
}
