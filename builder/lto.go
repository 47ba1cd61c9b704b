// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"debug/elf"
	"strings"

	"github.com/ulpatch/ulpatch/format/elffile"
)

// Objects for link-time optimisation hold the compiler's own representation of a
// program, and what the image was linked from is what the linker's plugin made of
// all of them. A "fat" one has machine code as well, which is that of the image
// only if the image was linked without the plugin.

const ltoAdvice = "give the objects that link-time optimisation made, of the original and of the fixed link (gcc -save-temps: *.ltrans*.ltrans.o; lld --save-temps: *.lto.o), or build without -flto"

// ltoKind tells what an object has of link-time optimisation.
type ltoKind uint8

const (
	ltoNone ltoKind = iota
	ltoFat          // and machine code
	ltoSlim         // and nothing else
)

// isBitcode says whether a file is clang's object for link-time optimisation.
func isBitcode(data []byte) bool {
	return bytes.HasPrefix(data, []byte("BC\xc0\xde")) || bytes.HasPrefix(data, []byte("\xde\xc0\x17\x0b"))
}

// ltoOf looks for what gcc, or clang with -ffat-lto-objects, puts into an object.
func ltoOf(f *elffile.File, symbols []elf.Symbol) ltoKind {
	kind := ltoNone
	for _, s := range f.Sections {
		if strings.HasPrefix(s.Name, ".gnu.lto_") || s.Name == ".llvm.lto" {
			kind = ltoFat
		}
	}
	for i := range symbols {
		if symbols[i].Name == "__gnu_lto_slim" {
			return ltoSlim
		}
	}
	return kind
}

// ltoRefusal refuses an object that has no machine code.
func ltoRefusal(name string) *Refusal {
	return &Refusal{Code: CodeLTO, Place: name, Detail: "an object for link-time optimisation, without machine code", Advice: ltoAdvice}
}

// isSlim notes what an object has of link-time optimisation, and says whether
// that is all.
func isSlim(f *elffile.File, kind *ltoKind) bool {
	symbols, err := f.Symbols()
	if err != nil {
		return false // told again by who reads them
	}
	*kind = ltoOf(f, symbols)
	return *kind == ltoSlim
}
