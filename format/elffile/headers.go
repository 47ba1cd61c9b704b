// SPDX-License-Identifier: GPL-2.0-or-later

package elffile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Sizes of ELF64's structures, in bytes.
const (
	shdrSize = 64
	phdrSize = 56
)

// checkCount wants header tables that lie within the file, and no more of
// section headers than MaxHeaders: debug/elf reads them one by one, and the
// extended count is any 64-bit number.
func checkCount(r io.ReaderAt, head []byte, size int64) error {
	phoff, shoff := binary.LittleEndian.Uint64(head[32:]), binary.LittleEndian.Uint64(head[40:])
	phnum, shnum := uint64(binary.LittleEndian.Uint16(head[56:])), uint64(binary.LittleEndian.Uint16(head[60:]))
	within := func(offset, count, entry uint64) bool {
		return offset <= uint64(size) && count <= (uint64(size)-offset)/entry
	}
	if phnum > 0 && !within(phoff, phnum, phdrSize) {
		return errors.New("elf: program headers are outside of the file")
	}
	if shoff == 0 {
		return nil
	}
	if shnum == 0 { // the count is in the first section header's size
		if !within(shoff, 1, shdrSize) {
			return errors.New("elf: section headers are outside of the file")
		}
		var first [shdrSize]byte
		if n, err := r.ReadAt(first[:], int64(shoff)); n != len(first) {
			return fmt.Errorf("elf: section headers: %w", err)
		}
		shnum = binary.LittleEndian.Uint64(first[32:])
	}
	if shnum > MaxHeaders {
		return fmt.Errorf("elf: %d section headers, more than %d", shnum, MaxHeaders)
	}
	if !within(shoff, shnum, shdrSize) {
		return errors.New("elf: section headers are outside of the file")
	}
	return nil
}
