// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"fmt"
)

// kind tells what an atom is and so how a change of it is judged.
type kind uint8

const (
	kindCode     kind = iota
	kindVariable      // writable, named
	kindConstant      // read-only, named: its address may be known elsewhere
	kindLiteral       // read-only and anonymous: only its content matters
	kindTLS           // thread-local
	kindStartup       // entries of init and fini arrays
	kindHandlers      // language-specific data of a function (.gcc_except_table)
	kindCIE
	kindFDE
)

func (k kind) String() string {
	return [...]string{"function", "variable", "constant", "literal", "thread-local variable", "startup entry", "exception table", "CIE", "FDE"}[k]
}

// atom is the smallest piece of an object that can be kept or dropped: the
// bytes [off, off+size) of a section.
type atom struct {
	object  *object
	kind    kind
	name    string // of its first symbol; "" if it has none
	section *section
	off     uint64
	size    uint64
	data    []byte // nil for zero-filled atoms
	align   uint64
	symbols []*symbol // defined in it, by value
	refs    []ref     // by offset

	frames []*atom // of a function: its FDEs
	cie    *atom   // of an FDE
	parent *atom   // of a .cold part: the function that it was split from
	colds  []*atom // of a function: its .cold parts
	opaque string  // of a function: why not all of its references are known

	referred int // how many references of the object are to it
	index    int // in object.atoms; the order of everything that is emitted
}

// ref is a reference of one atom to another or to an undefined symbol.
type ref struct {
	off     uint64 // of the relocated field, from the atom's start
	typ     uint32
	target  *atom   // nil: sym is undefined
	sym     *symbol // the symbol of the relocation; nil where it was recovered by decoding
	addend  int64   // relative to the target's start, as the relocation's A
	landing int64   // offset from the target's start that is really referred to
	access  bool    // what is there is read or written, so it is the target's
	branch  bool    // of code: a direct call or jump
}

// global says whether other units can refer to the atom.
func (a *atom) global() bool {
	for _, s := range a.symbols {
		if s.bind != elf.STB_LOCAL {
			return true
		}
	}
	return false
}

// weak says whether another unit's definition may have been taken instead.
func (a *atom) weak() bool {
	if a.section != nil && a.section.flags&elf.SHF_GROUP != 0 {
		return true
	}
	for _, s := range a.symbols {
		if s.bind == elf.STB_GLOBAL || s.bind == elf.STB_LOCAL {
			return false
		}
	}
	return len(a.symbols) > 0
}

func (a *atom) String() string {
	if a.name != "" {
		return a.name
	}
	return fmt.Sprintf("%s+%#x", a.section.name, a.off)
}

func (a *atom) place() string { return a.object.name + ": " + a.String() }

// referent names what a reference refers to, for messages.
func (r *ref) referent() string {
	var name string
	if r.target == nil {
		name = r.sym.name
	} else {
		name = r.target.String()
	}
	if r.landing != 0 {
		return fmt.Sprintf("%s%+#x", name, r.landing)
	}
	return name
}

func (a *atom) ifunc() bool {
	for _, s := range a.symbols {
		if s.typ == elf.STT_GNU_IFUNC {
			return true
		}
	}
	return false
}
