// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/dwarf"
	"encoding/binary"
)

// record is a structure or union.
type record struct {
	size    int64
	members []field
}

type field struct {
	name string
	bit  int64 // from the start
}

// declared is what the DWARF of an object declares.
type declared struct {
	records map[string]*record // structures and unions that have a name
	// unplaced are the static variables outside of functions that have neither an
	// address nor a constant value: the compiler left them out.
	unplaced map[string]bool
	// forms tell by the name of variables in memory what their DWARF location says
	// beside the address: nothing, or how a debugger gets the value from what is there.
	forms map[string]string
}

// declarations reads an object's DWARF; nil where it has none that can be read.
func declarations(data []byte) *declared {
	return guarded(func() *declared { // debug/dwarf trusts the file
		d := readDWARF(data)
		if d == nil {
			return nil
		}
		r := &declarationReader{
			declared: &declared{map[string]*record{}, map[string]bool{}, map[string]string{}},
			byOffset: map[dwarf.Offset]*record{}, aliases: map[string]dwarf.Offset{}, names: map[dwarf.Offset]string{},
		}
		if r.read(d.Reader()) != nil {
			return nil
		}
		return r.declared
	})
}

type declarationReader struct {
	*declared
	byOffset map[dwarf.Offset]*record
	aliases  map[string]dwarf.Offset
	names    map[dwarf.Offset]string // of variables
}

func (d *declarationReader) read(r *dwarf.Reader) error {
	for depth := 0; ; {
		e, err := r.Next()
		if e == nil || err != nil { // what was read up to there counts
			break
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		switch e.Tag {
		case 0:
			depth--
		case dwarf.TagVariable:
			d.variable(e, name, depth == 1)
		case dwarf.TagTypedef:
			if to, ok := e.Val(dwarf.AttrType).(dwarf.Offset); ok {
				d.aliases[name] = to
			}
		case dwarf.TagStructType, dwarf.TagUnionType:
			size, sized := e.Val(dwarf.AttrByteSize).(int64)
			if !sized || !e.Children {
				break
			}
			one := &record{size: size}
			d.byOffset[e.Offset] = one
			if err := one.read(r); err != nil {
				return err
			}
			if name != "" {
				d.records[name] = one
			}
			continue
		}
		if e.Children {
			depth++
		}
	}
	for name, to := range d.aliases {
		if one := d.byOffset[to]; one != nil && d.records[name] == nil {
			d.records[name] = one
		}
	}
	return nil
}

// variable takes down where a variable is; outside says that it is in no function.
func (d *declarationReader) variable(e *dwarf.Entry, name string, outside bool) {
	if before, ok := e.Val(dwarf.AttrSpecification).(dwarf.Offset); ok {
		name = d.names[before]
	}
	d.names[e.Offset] = name
	if name == "" {
		return
	}
	location := e.Val(dwarf.AttrLocation)
	if text, ok := location.([]byte); ok {
		if form, placed := formOf(text); placed {
			d.forms[name] += string(form)
		}
		return
	}
	external, _ := e.Val(dwarf.AttrExternal).(bool)
	declaration, _ := e.Val(dwarf.AttrDeclaration).(bool)
	if outside && location == nil && !external && !declaration && e.Val(dwarf.AttrConstValue) == nil {
		d.unplaced[name] = true
	}
}

// formOf is what follows the address in a location, if that begins with one
// (DWARF 5, 2.5.1.1 and 7.7.1).
func formOf(location []byte) (form []byte, placed bool) {
	const addr, addrx, gnuAddrIndex = 0x03, 0xa1, 0xfb
	const address = 8 // bytes
	if len(location) == 0 {
		return nil, false
	}
	switch rest := location[1:]; location[0] {
	case addr:
		if len(rest) >= address {
			return rest[address:], true
		}
	case addrx, gnuAddrIndex:
		if _, n := binary.Uvarint(rest); n > 0 {
			return rest[n:], true
		}
	}
	return nil, false
}

// read takes the members; what is nested is skipped.
func (one *record) read(r *dwarf.Reader) error {
	for {
		e, err := r.Next()
		if err != nil || e == nil || e.Tag == 0 {
			return err
		}
		if e.Tag == dwarf.TagMember {
			name, _ := e.Val(dwarf.AttrName).(string)
			at, _ := e.Val(dwarf.AttrDataMemberLoc).(int64)
			bit, ok := e.Val(dwarf.AttrDataBitOffset).(int64)
			if !ok {
				bit = at * 8
			}
			one.members = append(one.members, field{name, bit})
		}
		if e.Children {
			r.SkipChildren()
		}
	}
}
