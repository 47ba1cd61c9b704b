// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/ulpatch/ulpatch/arch"
)

// entry is what has to be known of an old function to redirect it.
type entry struct {
	size   uint64 // with padding, where only that makes room for a jump
	room   uint64
	digest string
}

// readEntry decodes the function in the image. The error tells why no jump can
// be written at its entry.
func readEntry(m *image, l *location, o *atom, at arch.Addr) (entry, error) {
	code, err := m.read(at, o.size)
	if err != nil {
		return entry{}, err
	}
	need := uint64(m.arch.Entry(code).Size(m.arch.JumpSize))
	room, err := firstTarget(m, o, code, at)
	if err != nil {
		return entry{}, err
	}
	for i := range l.object.atoms { // other functions and jump tables that refer to places within
		a := l.object.atoms[i]
		for _, r := range a.refs {
			if r.target == o && r.landing > 0 && uint64(r.landing) < room && (a.kind == kindCode || a.kind == kindLiteral && !l.object.pcRelative(r.typ)) {
				room = uint64(r.landing)
			}
		}
	}
	if room < o.size && room < need {
		return entry{}, fmt.Errorf("a branch goes to +%#x, within the %d bytes of a jump", room, need)
	}
	if o.size < need {
		if code, err = withPadding(m, code, at, need); err != nil {
			return entry{}, err
		}
		room = uint64(len(code))
	}
	sum := sha256.Sum256(code)
	return entry{uint64(len(code)), room, hex.EncodeToString(sum[:])}, nil
}

// firstTarget is the lowest offset behind the entry that a branch of the
// function goes to, or its size.
func firstTarget(m *image, o *atom, code []byte, at arch.Addr) (uint64, error) {
	first := uint64(len(code))
	for off := 0; off < len(code); {
		in, err := m.arch.Decode(code[off:], at+arch.Addr(off))
		if err != nil {
			return 0, fmt.Errorf("+%#x cannot be decoded: %w", off, err)
		}
		if in.PCRel && (in.Kind == arch.Jump || in.Kind == arch.CondJump || in.Kind == arch.Call) && in.Target > at {
			first = min(first, uint64(in.Target-at))
		}
		off += in.Len
	}
	return first, nil
}

// withPadding extends a function by what lies between it and the next symbol,
// if that is nothing but padding.
func withPadding(m *image, code []byte, at arch.Addr, need uint64) ([]byte, error) {
	next, ok := m.next(at)
	if !ok || next < at+arch.Addr(need) {
		return nil, fmt.Errorf("it has %d bytes and a jump needs %d", len(code), need)
	}
	more, err := m.read(at, need)
	if err != nil {
		return nil, err
	}
	for off := len(code); off < len(more); {
		rest := more[off:]
		if wide, err := m.read(at+arch.Addr(off), min(uint64(next-at)-uint64(off), 16)); err == nil {
			rest = wide
		}
		in, err := m.arch.Decode(rest, at+arch.Addr(off))
		if err != nil || !in.Nop && in.Kind != arch.Stop {
			return nil, fmt.Errorf("it has %d bytes, a jump needs %d, and what follows is no padding", len(code), need)
		}
		off += in.Len
	}
	return more, nil
}
