// SPDX-License-Identifier: GPL-2.0-or-later

package unwind

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ulpatch/ulpatch/arch"
)

var errShort = errors.New("call-frame information is cut short")

// reader takes numbers from bytes. Past their end all are zero, and err is set.
type reader struct {
	data []byte
	addr arch.Addr // of data[at:]
	err  error
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.data)) {
		r.data, r.err = nil, errShort
		return nil
	}
	p := r.data[:n:n]
	r.data = r.data[n:]
	r.addr += arch.Addr(n)
	return p
}

// uint takes a little-endian number of n bytes, 8 at most.
func (r *reader) uint(n uint64) uint64 {
	var buf [8]byte
	copy(buf[:], r.take(n))
	return binary.LittleEndian.Uint64(buf[:])
}

// int is uint with the sign extended.
func (r *reader) int(n uint64) int64 {
	unused := 64 - 8*n
	return int64(r.uint(n)<<unused) >> unused
}

func (r *reader) uleb() uint64 {
	v, _ := r.leb()
	return v
}

func (r *reader) sleb() int64 {
	v, bits := r.leb()
	if bits >= 64 {
		return int64(v)
	}
	return int64(v<<(64-bits)) >> (64 - bits)
}

func (r *reader) leb() (v uint64, bits uint) {
	for {
		b := r.uint(1)
		if bits < 64 {
			v |= b & 0x7f << bits
		}
		bits += 7
		if b&0x80 == 0 {
			return v, bits
		}
	}
}

// text takes a string that a zero byte ends.
func (r *reader) text() string {
	var s []byte
	for {
		b := byte(r.uint(1))
		if b == 0 {
			return string(s)
		}
		s = append(s, b)
	}
}

// Encodings of pointers (LSB, "DWARF Extensions").
const (
	encOmit     = 0xff
	encPCRel    = 0x10
	encAligned  = 0x50
	encIndirect = 0x80
)

// pointer takes an address. What is relative to anything but its own place is an
// error; what is indirect is the address of the pointer.
func (r *reader) pointer(encoding byte) arch.Addr {
	if encoding == encOmit {
		return 0
	}
	encoding &^= encIndirect
	if encoding == encAligned {
		r.take(uint64(-r.addr & 7))
		return arch.Addr(r.uint(8))
	}
	at := r.addr
	v := r.number(encoding & 0xf)
	switch encoding & 0xf0 {
	case 0:
		return arch.Addr(v)
	case encPCRel:
		return at + arch.Addr(v)
	}
	r.err = fmt.Errorf("pointer encoding %#x", encoding)
	return 0
}

// number takes a number of the format that is in the low bits of an encoding.
func (r *reader) number(format byte) uint64 {
	switch format {
	case 0, 4, 8, 0xc:
		return r.uint(8)
	case 1:
		return r.uleb()
	case 2:
		return r.uint(2)
	case 3:
		return r.uint(4)
	case 9:
		return uint64(r.sleb())
	case 0xa:
		return uint64(r.int(2))
	case 0xb:
		return uint64(r.int(4))
	}
	r.err = fmt.Errorf("pointer encoding %#x", format)
	return 0
}
