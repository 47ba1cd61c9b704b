// SPDX-License-Identifier: GPL-2.0-or-later

package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format/payload"
)

// Value is what an undefined symbol of the payload is in a process. Which
// parts are set tells what may refer to it.
type Value struct {
	// Addr is its canonical address, if HasAddr; 0 for a weak symbol that is
	// absent.
	Addr    arch.Addr
	HasAddr bool
	// Slot is a word of the process through which a call reaches the function,
	// or 0: it is used where Addr is not known.
	Slot arch.Addr

	// TLSModule is the module id and DTP the offset in that module's block, if
	// HasDTP; TP is the offset from the thread pointer, if HasTP.
	TLSModule     uint64
	DTP, TP       int64
	HasDTP, HasTP bool
}

// Image is a payload that is relocated for one place.
type Image struct {
	Base  arch.Addr
	Bytes []byte // Layout.Size of them; the header is still zero
	// Indirect are the addresses outside the payload that its stubs jump to.
	Indirect []arch.Addr
}

var errNoAddress = errors.New("its address is not known in this process")

// Link relocates the payload for a base address. imports has a Value for each
// undefined symbol, by its index. Errors name section, offset, type and symbol.
func (l *Layout) Link(base arch.Addr, imports map[int]Value) (*Image, error) {
	k := &linking{Layout: l, base: base, imports: imports, out: make([]byte, l.Size), indirect: map[arch.Addr]bool{}}
	for i, s := range l.file.Sections {
		if l.section[i] >= 0 {
			copy(k.out[l.section[i]:], s.Data)
		}
	}
	if l.tlsdesc != 0 {
		copy(k.out[l.tlsdesc:], l.arch.TLSDescReturn)
	}
	if err := k.fillSlots(); err != nil {
		return nil, err
	}
	for i, s := range l.file.Sections {
		if l.section[i] < 0 {
			continue
		}
		for _, rel := range s.Relocs {
			if err := k.apply(i, rel); err != nil {
				return nil, fmt.Errorf("%s+%#x: %s against %s: %w", s.Name, rel.Off,
					l.arch.RelocName(rel.Type), l.symbolName(rel.Symbol), err)
			}
		}
	}
	return &Image{base, k.out, slices.Sorted(maps.Keys(k.indirect))}, nil
}

type linking struct {
	*Layout
	base    arch.Addr
	imports map[int]Value
	out     []byte
	// indirect are the targets of the stubs that are in use.
	indirect map[arch.Addr]bool
}

func (k *linking) at(offset uint64) arch.Addr { return k.base + arch.Addr(offset) }

// offsetTable is the base of the payload's own slots, which code may name.
const offsetTable = "_GLOBAL_OFFSET_TABLE_"

func (k *linking) value(symbol int) (Value, error) {
	if symbol == payload.NoSymbol {
		return Value{HasAddr: true}, nil // S is 0
	}
	s := k.file.Symbols[symbol]
	if s.Section == payload.Undefined {
		if s.Name == offsetTable {
			return Value{Addr: k.at(k.gotBase), HasAddr: true}, nil
		}
		v, ok := k.imports[symbol]
		if !ok {
			return Value{}, errors.New("not resolved")
		}
		return v, nil
	}
	if k.section[s.Section] < 0 {
		return Value{}, errors.New("defined in a section that is not loaded")
	}
	return Value{Addr: k.at(uint64(k.section[s.Section]) + s.Value), HasAddr: true}, nil
}

func (k *linking) put(offset uint64, words ...uint64) {
	for i, w := range words {
		binary.LittleEndian.PutUint64(k.out[offset+uint64(i)*slotSize:], w)
	}
}

func (k *linking) fillSlots() error {
	for _, key := range k.order {
		offset := k.slots[key]
		v, err := k.value(key.symbol)
		if err == nil {
			err = k.fillSlot(key.need, offset, v)
		}
		if err != nil {
			return fmt.Errorf("slot for %s: %w", k.symbolName(key.symbol), err)
		}
	}
	for _, symbol := range slices.Sorted(maps.Keys(k.stubs)) {
		s := k.stubs[symbol]
		v, err := k.value(symbol)
		if err != nil {
			return fmt.Errorf("stub for %s: %w", k.symbolName(symbol), err)
		}
		slot := k.at(s.slot)
		if v.HasAddr {
			k.put(s.slot, uint64(v.Addr))
		} else if v.Slot != 0 {
			slot = v.Slot
		} else {
			continue // an error only if something refers to it
		}
		code, err := k.arch.Stub(k.at(s.code), slot)
		if err != nil {
			return fmt.Errorf("stub for %s: %w", k.symbolName(symbol), err)
		}
		copy(k.out[s.code:], code)
	}
	return nil
}

var (
	errNotStatic = errors.New("not in static thread-local storage")
	errNoModule  = errors.New("its module's TLS id is not known in this process")
)

func (k *linking) fillSlot(need arch.Need, offset uint64, v Value) error {
	switch need {
	case arch.NeedGOT:
		if !v.HasAddr {
			return errNoAddress
		}
		k.put(offset, uint64(v.Addr))
	case arch.NeedGOTTP:
		if !v.HasTP {
			return errNotStatic
		}
		k.put(offset, uint64(v.TP))
	case arch.NeedTLSGD:
		if !v.HasDTP {
			return errNoModule
		}
		k.put(offset, v.TLSModule, uint64(v.DTP))
	case arch.NeedTLSLD:
		if !v.HasDTP {
			return errNoModule
		}
		k.put(offset, v.TLSModule, 0)
	case arch.NeedTLSDesc:
		if !v.HasTP {
			return errNotStatic
		}
		k.put(offset, uint64(k.at(k.tlsdesc)), uint64(v.TP))
	}
	return nil
}

// apply relocates one place.
func (k *linking) apply(section int, rel payload.Reloc) error {
	how := k.arch.Relocs[rel.Type]
	v, err := k.value(rel.Symbol)
	if err != nil {
		return err
	}
	offset := uint64(k.section[section]) + rel.Off
	place := k.out[offset : uint64(k.section[section])+k.file.Sections[section].Size]
	o := arch.Operands{
		S: v.Addr, A: rel.Addend, P: k.at(offset), GOT: k.at(k.gotBase),
		TP: v.TP, DTP: v.DTP,
	}
	if rel.Symbol != payload.NoSymbol {
		o.Z = k.file.Symbols[rel.Symbol].Size
	}
	switch how.Need {
	case arch.NeedTP:
		if !v.HasTP {
			return errNotStatic
		}
	case arch.NeedDTP:
		if !v.HasDTP {
			return errNoModule
		}
	case arch.NeedStub:
		return k.call(how, rel.Symbol, v, place, o)
	case arch.NeedNothing, arch.NeedGOTBase:
		if !v.HasAddr && how.Size > 0 {
			return errNoAddress
		}
	default:
		o.G = k.at(k.slots[slotKey{rel.Symbol, how.Need}])
	}
	return how.Apply(place, o)
}

var errMidStub = errors.New("out of reach, and its addend does not lead to its start")

// call reaches S directly where it can, and through the stub where not.
func (k *linking) call(how arch.Howto, symbol int, v Value, place []byte, o arch.Operands) error {
	direct := errNoAddress
	if v.HasAddr {
		if direct = how.Apply(place, o); direct == nil || !errors.Is(direct, arch.ErrRange) {
			return direct
		}
	}
	s, ok := k.stubs[symbol]
	switch {
	case !ok || (!v.HasAddr && v.Slot == 0):
		return direct
	case o.A != k.arch.CallAddend:
		return errMidStub
	}
	if v.HasAddr {
		k.indirect[v.Addr] = true
	}
	o.S = k.at(s.code)
	return how.Apply(place, o)
}
