// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"encoding/binary"
	"fmt"
)

const shtX8664Unwind = 0x70000001

func isFrames(sec *section) bool {
	return sec.name == ".eh_frame" || uint32(sec.typ) == shtX8664Unwind
}

// splitFrames cuts an .eh_frame section into CIEs and FDEs, and gives each FDE
// to the function that it describes.
func (o *object) splitFrames(sec *section) error {
	cies := map[uint64]*atom{}
	if sec.data == nil {
		return fmt.Errorf("section %s: without content", sec.name)
	}
	for at := uint64(0); at < sec.size; {
		if sec.size-at < 4 {
			return fmt.Errorf("%s+%#x: cut short", sec.name, at)
		}
		length := uint64(binary.LittleEndian.Uint32(sec.data[at:]))
		if length == 0 { // terminator
			at += 4
			continue
		}
		if length == 0xffffffff {
			return fmt.Errorf("%s+%#x: 64-bit entries are not supported", sec.name, at)
		}
		if length < 4 || length > sec.size-at-4 {
			return fmt.Errorf("%s+%#x: cut short", sec.name, at)
		}
		a := o.newAtom(sec, at, 4+length)
		if id := uint64(binary.LittleEndian.Uint32(sec.data[at+4:])); id == 0 {
			a.kind = kindCIE
			cies[at] = a
		} else {
			a.kind = kindFDE
			if a.cie = cies[at+4-id]; a.cie == nil {
				return fmt.Errorf("%s+%#x: no CIE at %#x", sec.name, at, at+4-id)
			}
		}
		at += 4 + length
	}
	return nil
}

// pcBegin is the offset in an FDE of the address of its function.
const pcBegin = 8

// attachFrames gives each FDE to its function.
func (o *object) attachFrames() {
	for _, a := range o.atoms {
		if a.kind != kindFDE {
			continue
		}
		for i := range a.refs {
			if r := &a.refs[i]; r.off == pcBegin && r.target != nil && r.target.kind == kindCode {
				r.target.frames = append(r.target.frames, a)
			}
		}
	}
}
