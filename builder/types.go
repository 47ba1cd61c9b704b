// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/dwarf"
	"fmt"
	"slices"
)

// What a process has allocated is laid out as the original types say, and no
// code of an object shows that a structure grew. Where both objects have DWARF,
// the structures and unions of the unit are compared by name.

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
	// unplaced are the static variables outside of functions that are nowhere: the
	// compiler left them out.
	unplaced map[string]bool
}

// declarations reads an object's DWARF; nil where it has none that can be read.
func declarations(data []byte) *declared {
	d := readDWARF(data)
	if d == nil {
		return nil
	}
	return guarded(func() *declared {
		records := records(d)
		if records == nil {
			return nil
		}
		return &declared{records, unplaced(d)}
	})
}

// records reads structures and unions; nil where they cannot be read.
func records(d *dwarf.Data) (out map[string]*record) {
	out = map[string]*record{}
	byOffset, aliases := map[dwarf.Offset]*record{}, map[string]dwarf.Offset{}
	r := d.Reader()
	for {
		e, err := r.Next()
		if e == nil || err != nil {
			break
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		switch e.Tag {
		case dwarf.TagTypedef:
			if to, ok := e.Val(dwarf.AttrType).(dwarf.Offset); ok {
				aliases[name] = to
			}
		case dwarf.TagStructType, dwarf.TagUnionType:
			size, sized := e.Val(dwarf.AttrByteSize).(int64)
			if !sized || !e.Children {
				continue
			}
			one := &record{size: size}
			byOffset[e.Offset] = one
			if err := one.read(r); err != nil {
				return nil
			}
			if name != "" {
				out[name] = one
			}
		}
	}
	for name, to := range aliases {
		if one := byOffset[to]; one != nil && out[name] == nil {
			out[name] = one
		}
	}
	return out
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

// moved tells how a record is laid out otherwise, or "". A member that has only
// another name is where it was.
func (one *record) moved(fixed *record) string {
	if one.size != fixed.size {
		return fmt.Sprintf("%d bytes become %d", one.size, fixed.size)
	}
	was, taken := map[string]int64{}, map[int64]bool{}
	for _, m := range one.members {
		was[m.name] = m.bit
		taken[m.bit] = true
	}
	for _, m := range fixed.members {
		old, had := was[m.name]
		switch {
		case m.name == "":
		case had && old != m.bit:
			return fmt.Sprintf("member %s is at %s instead of %s", m.name, offset(m.bit), offset(old))
		case !had && !taken[m.bit]:
			return fmt.Sprintf("member %s is new, at %s", m.name, offset(m.bit))
		}
	}
	return ""
}

func offset(bit int64) string {
	if bit%8 != 0 {
		return fmt.Sprintf("%#x, bit %d", bit/8, bit%8)
	}
	return fmt.Sprintf("%#x", bit/8)
}

// judgeTypes refuses other layouts of types that the unit knows. Where it knows
// none, other offsets of accesses are noted.
func (u *unit) judgeTypes(orig, fixed []byte) {
	if len(u.changed) == 0 {
		return
	}
	before := declarations(orig)
	var after *declared
	if before != nil {
		u.unplaced = before.unplaced
		after = declarations(fixed)
	}
	if after == nil || len(before.records) == 0 || len(after.records) == 0 {
		if !slices.ContainsFunc(u.troubles, func(t trouble) bool { return t.refusal.Code == CodeLayout }) {
			u.suspectLayout()
		}
		return
	}
	for _, name := range sortedKeys(after.records) {
		old := before.records[name]
		if old == nil {
			continue
		}
		if how := old.moved(after.records[name]); how != "" {
			u.trouble(nil, CodeTypeLayout, name, "the layout of a type changed: "+how,
				"what a running process has allocated has the old layout; keep it, or allow the change by name if no object of the type outlives a call of the changed functions")
		}
	}
}
