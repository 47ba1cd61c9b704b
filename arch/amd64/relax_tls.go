// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"debug/elf"
	"slices"
	"strconv"
	"strings"

	"github.com/ulpatch/ulpatch/arch"
)

// sequence is a rewrite of a fixed sequence of instructions, the same for all
// compilers because the psABI prescribes it, "Thread-Local Storage". ".." in from
// is any byte, a relocated field; "xx" in to is the new field.
type sequence struct {
	typ       elf.R_X86_64
	name      string
	at        int // of the relocation's field in from
	from, to  []int
	howto     arch.Howto
	delta     int64
	localExec bool
}

const (
	anyByte   = -1
	fieldByte = -2
)

// The calls of __tls_get_addr: direct; -fno-plt; -mcmodel=large, with the GOT's
// base in %rbx or %r15.
const (
	gdLea       = "66 48 8d 3d .. .. .. .. "
	gdCall      = gdLea + "66 66 48 e8 .. .. .. .."
	gdCallGOT   = gdLea + "66 48 ff 15 .. .. .. .."
	ldLea       = "48 8d 3d .. .. .. .. "
	ldCall      = ldLea + "e8 .. .. .. .."
	ldCallGOT   = ldLea + "ff 15 .. .. .. .."
	largeRBX    = ldLea + "48 b8 .. .. .. .. .. .. .. .. 48 01 d8 ff d0"
	largeR15    = ldLea + "48 b8 .. .. .. .. .. .. .. .. 4c 01 f8 ff d0"
	movFS0      = "64 48 8b 04 25 00 00 00 00 " // mov %fs:0,%rax
	leaTP       = movFS0 + "48 8d 80 xx xx xx xx"
	addTP       = movFS0 + "48 81 c0 xx xx xx xx"
	addGOTTP    = movFS0 + "48 03 05 xx xx xx xx"
	largeFiller = " 66 0f 1f 44 00 00"
)

var sequences = []sequence{
	gd("GD -> LE", 4, gdCall, leaTP),
	gd("GD -> LE, no PLT", 4, gdCallGOT, leaTP),
	gd("GD -> LE, add", 4, gdCall, addTP), // mold
	gd("GD -> LE, add, no PLT", 4, gdCallGOT, addTP),
	gd("GD -> LE, large", 3, largeRBX, leaTP+largeFiller),
	gd("GD -> LE, large", 3, largeR15, leaTP+largeFiller),
	gd("GD -> IE", 4, gdCall, addGOTTP),
	gd("GD -> IE, no PLT", 4, gdCallGOT, addGOTTP),
	gd("GD -> IE, large", 3, largeRBX, addGOTTP+largeFiller),
	gd("GD -> IE, large", 3, largeR15, addGOTTP+largeFiller),
	ld("LD -> LE", ldCall, "66 66 66 "+movFS0),
	ld("LD -> LE, no PLT", ldCallGOT, "66 66 66 66 "+movFS0),
	ld("LD -> LE, large", largeRBX, "66 66 66 66 2e 0f 1f 84 00 00 00 00 00 "+movFS0),
	ld("LD -> LE, large", largeR15, "66 66 66 66 2e 0f 1f 84 00 00 00 00 00 "+movFS0),
	{
		typ: elf.R_X86_64_TLSDESC_CALL, name: "TLSDESC -> LE or IE: call *x@TLSCALL(%rax) -> xchg %ax,%ax",
		from: pattern("ff 10"), to: pattern("66 90"), howto: arch.Marker,
	},
}

func gd(name string, at int, from, to string) sequence {
	s := sequence{typ: elf.R_X86_64_TLSGD, name: name, at: at, from: pattern(from), to: pattern(to), howto: toTPOFF32, delta: 4}
	if strings.Contains(to, addGOTTP) {
		s.howto, s.delta = toGOTTP, 0
	}
	return s
}

func ld(name, from, to string) sequence {
	return sequence{typ: elf.R_X86_64_TLSLD, name: name, at: 3, from: pattern(from), to: pattern(to), howto: arch.Marker, localExec: true}
}

func pattern(text string) []int {
	var p []int
	for _, word := range strings.Fields(text) {
		switch word {
		case "..":
			p = append(p, anyByte)
		case "xx":
			p = append(p, fieldByte)
		default:
			b, err := strconv.ParseUint(word, 16, 8)
			if err != nil {
				panic(err)
			}
			p = append(p, int(b))
		}
	}
	return p
}

func (s sequence) match(orig, linked []byte, off int) (arch.Rewrite, bool) {
	start := off - s.at
	if !matches(s.from, orig, start) || !matches(s.to, linked, start) {
		return arch.Rewrite{}, false
	}
	r := arch.Rewrite{
		Name: s.name, Start: -s.at, End: len(s.to) - s.at,
		Howto: s.howto, AddendDelta: s.delta, LocalExec: s.localExec,
	}
	for _, b := range s.to {
		r.Bytes = append(r.Bytes, byte(max(b, 0)))
	}
	if i := slices.Index(s.to, fieldByte); i >= 0 {
		r.Off = i - s.at
	}
	return r, true
}

func matches(p []int, code []byte, start int) bool {
	if start < 0 || start+len(p) > len(code) {
		return false
	}
	for i, b := range p {
		if b >= 0 && byte(b) != code[start+i] {
			return false
		}
	}
	return true
}
