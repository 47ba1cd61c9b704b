// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"fmt"
	"slices"
)

// What a process has allocated is laid out as the original types say, and no
// code of an object shows that a structure grew. Where both objects have DWARF,
// the structures and unions of the unit are compared by name.

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
		if after = declarations(fixed); after != nil {
			u.judgeForms(before, after)
		}
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
