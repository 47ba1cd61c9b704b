// SPDX-License-Identifier: GPL-2.0-or-later

package elffile

import (
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// ErrNoBuildID: there is no GNU build-id.
var ErrNoBuildID = errors.New("no build-id")

// BuildID is the file's GNU build-id in lower-case hexadecimal, from its
// segments or, where it has none (objects, separate debug files), from its
// sections. Two that differ are an error.
func (f *File) BuildID() (string, error) {
	var found string
	add := func(id string, err error) error {
		switch {
		case errors.Is(err, ErrNoBuildID):
			return nil
		case err != nil:
			return err
		case found != "" && found != id:
			return fmt.Errorf("elf: two build-ids, %s and %s", found, id)
		}
		found = id
		return nil
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE || !f.holds(p.Off, p.Filesz) {
			continue // a separate debug file keeps headers of what it has not
		}
		notes, err := f.ProgData(p)
		if err != nil {
			return "", err
		}
		id, err := NotesBuildID(notes, p.Align)
		if errors.Is(err, errNotes) {
			continue // such a file may have other bytes there; its sections tell
		}
		if err := add(id, err); err != nil {
			return "", err
		}
	}
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOTE {
			continue
		}
		notes, err := f.Data(s)
		if err != nil {
			return "", err
		}
		if err := add(NotesBuildID(notes, s.Addralign)); err != nil {
			return "", err
		}
	}
	if found == "" {
		return "", ErrNoBuildID
	}
	return found, nil
}

var errNotes = errors.New("malformed notes")

const ntGNUBuildID elf.NType = 3

// NotesBuildID is the GNU build-id among ELF notes, in lower-case hexadecimal.
// notes is the content of a PT_NOTE segment or an SHT_NOTE section, from a file
// or from memory; align is its alignment in bytes. The error wraps ErrNoBuildID
// where the notes are well-formed and have none.
func NotesBuildID(notes []byte, align uint64) (string, error) {
	if align != 8 {
		align = 4
	}
	const noteHeader = 12 // bytes
	total := uint64(len(notes))
	for at := uint64(0); at < total; {
		if total-at < noteHeader {
			return "", fmt.Errorf("%w: cut short", errNotes)
		}
		note := notes[at:]
		nameLen := uint64(binary.LittleEndian.Uint32(note))
		descLen := uint64(binary.LittleEndian.Uint32(note[4:]))
		typ := binary.LittleEndian.Uint32(note[8:])
		desc := alignUp(noteHeader+nameLen, align) // both sums fit: the lengths are of 32 bits
		if desc+descLen > uint64(len(note)) {
			return "", fmt.Errorf("%w: cut short", errNotes)
		}
		if typ == uint32(ntGNUBuildID) && string(note[noteHeader:noteHeader+nameLen]) == "GNU\x00" {
			if descLen == 0 {
				return "", fmt.Errorf("%w: empty build-id", errNotes)
			}
			return hex.EncodeToString(note[desc : desc+descLen]), nil
		}
		at += alignUp(desc+descLen, align)
	}
	return "", ErrNoBuildID
}

func alignUp(n, align uint64) uint64 { return (n + align - 1) &^ (align - 1) }
