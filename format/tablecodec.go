// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Limits of a table.
const (
	MaxTableSize = 16 << 20    // bytes of canonical JSON
	MaxName      = 64 << 10    // bytes of a symbol's or function's name
	maxSize      = 1 << 40     // bytes of a range of code
	maxImageName = 255         // bytes
	maxMachine   = 32          // bytes
	digestLen    = 2 * 256 / 8 // hexadecimal digits of a SHA-256
)

// Build-ids that a bundle can name have from 4 to 64 bytes.
const minBuildID, maxBuildID = 4, 64

// EncodeTable writes t in canonical JSON, or says what is wrong with it.
func EncodeTable(t Table) ([]byte, error) {
	data, err := encodeTable(t)
	if err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	return data, nil
}

// DecodeTable reads what EncodeTable writes and nothing else. Every slice of
// the result is non-nil, but for Hooks where there are none.
func DecodeTable(data []byte) (Table, error) {
	if err := checkTableSize(data); err != nil {
		return Table{}, fmt.Errorf("table: %w", err)
	}
	t, err := decodeCanonical(data, encodeTable)
	if err != nil {
		return Table{}, fmt.Errorf("table: %w", err)
	}
	return t, nil
}

func encodeTable(t Table) ([]byte, error) {
	t = withoutNil(t)
	if err := t.check(); err != nil {
		return nil, err
	}
	data, err := encodeCanonical(t)
	if err != nil {
		return nil, err
	}
	return data, checkTableSize(data)
}

func checkTableSize(data []byte) error {
	if len(data) > MaxTableSize {
		return fmt.Errorf("%d bytes, more than %d", len(data), MaxTableSize)
	}
	return nil
}

// withoutNil returns a copy of t whose slices are empty instead of nil: a list
// is always written.
func withoutNil(t Table) Table {
	functions := make([]Function, len(t.Functions))
	for i, f := range t.Functions {
		f.Parts = notNil(f.Parts)
		functions[i] = f
	}
	t.Functions, t.Imports, t.Quiet = functions, notNil(t.Imports), notNil(t.Quiet)
	return t
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (t Table) check() error {
	if err := t.Image.check(); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	if len(t.Functions) == 0 {
		return errors.New("no functions")
	}
	ranges := make([]Range, len(t.Functions))
	for i, f := range t.Functions {
		if err := f.check(); err != nil {
			return fmt.Errorf("functions[%d]: %w", i, err)
		}
		ranges[i] = f.Range
	}
	if err := checkRanges(ranges); err != nil {
		return fmt.Errorf("functions%w", err)
	}
	if err := checkRanges(t.Quiet); err != nil {
		return fmt.Errorf("quiet%w", err)
	}
	if err := checkHooks(t.Hooks); err != nil {
		return fmt.Errorf("hooks%w", err)
	}
	for i, imp := range t.Imports {
		if err := imp.check(); err != nil {
			return fmt.Errorf("imports[%d]: %w", i, err)
		}
		if i > 0 && imp.Symbol <= t.Imports[i-1].Symbol {
			return fmt.Errorf("imports[%d]: symbol %q: not in ascending order", i, imp.Symbol)
		}
	}
	return nil
}

func (f Function) check() error {
	if err := checkDigest(f.Digest); err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	if f.Room == 0 || f.Room > f.Size {
		return fmt.Errorf("room %d: not between 1 and the size %d", f.Room, f.Size)
	}
	if err := checkName(f.Symbol); err != nil {
		return fmt.Errorf("symbol: %w", err)
	}
	if err := checkRanges(f.Parts); err != nil {
		return fmt.Errorf("parts%w", err)
	}
	return nil
}

// checkRanges wants ranges that ascend and do not overlap. Its message starts
// with the index, to stand behind the name of the list.
func checkRanges(ranges []Range) error {
	var end uint64
	for i, r := range ranges {
		if err := checkName(r.Name); err != nil {
			return fmt.Errorf("[%d]: name: %w", i, err)
		}
		if r.Addr == 0 {
			return fmt.Errorf("[%d]: address 0", i)
		}
		if r.Size == 0 || r.Size > maxSize || uint64(r.Addr)+r.Size < r.Size {
			return fmt.Errorf("[%d]: size %d at %s: out of bounds", i, r.Size, r.Addr)
		}
		if uint64(r.Addr) < end {
			return fmt.Errorf("[%d]: address %s: not in ascending order, or overlaps the one before", i, r.Addr)
		}
		end = uint64(r.Addr) + r.Size
	}
	return nil
}

func (i Import) check() error {
	if err := checkName(i.Symbol); err != nil {
		return fmt.Errorf("symbol: %w", err)
	}
	switch i.Kind {
	case ImportImage:
		if i.Addr == 0 {
			return fmt.Errorf("symbol %q: image: address 0", i.Symbol)
		}
		if i.Weak || i.Slot != 0 || i.Name != "" || i.Version != "" {
			return fmt.Errorf("symbol %q: image: only addr and func belong here", i.Symbol)
		}
	case ImportTLS:
		if i.Weak || i.Func || i.Slot != 0 || i.Name != "" || i.Version != "" {
			return fmt.Errorf("symbol %q: tls: only addr belongs here", i.Symbol)
		}
	case ImportDynamic, ImportDynamicTLS:
		if err := checkName(i.Name); err != nil {
			return fmt.Errorf("symbol %q: name: %w", i.Symbol, err)
		}
		if err := CheckText(i.Version, MaxName); err != nil {
			return fmt.Errorf("symbol %q: version: %w", i.Symbol, err)
		}
		if i.Addr != 0 {
			return fmt.Errorf("symbol %q: %s: addr does not belong here", i.Symbol, i.Kind)
		}
		if i.Kind == ImportDynamicTLS && (i.Func || i.Slot != 0) {
			return fmt.Errorf("symbol %q: dynamic-tls: slot and func do not belong here", i.Symbol)
		}
	default:
		return fmt.Errorf("symbol %q: unknown kind %q", i.Symbol, i.Kind)
	}
	return nil
}

func (i Image) check() error {
	if err := CheckText(i.Name, maxImageName); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if i.Name == "" || i.Name == "." || i.Name == ".." || strings.Contains(i.Name, "/") {
		return fmt.Errorf("name %q: not a file name", i.Name)
	}
	if err := CheckBuildID(i.BuildID); err != nil {
		return err
	}
	if len(i.Machine) == 0 || len(i.Machine) > maxMachine || strings.Trim(i.Machine, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return fmt.Errorf("machine %q: not a name", i.Machine)
	}
	return nil
}

// CheckBuildID tells whether s is a build-id that a bundle can name: from 4 to
// 64 bytes in lower-case hexadecimal.
func CheckBuildID(s string) error {
	if n := len(s) / 2; n < minBuildID || n > maxBuildID {
		return fmt.Errorf("build-id %q: not between %d and %d bytes", s, minBuildID, maxBuildID)
	}
	if !isHex(s) {
		return fmt.Errorf("build-id %q: not lower-case hexadecimal", s)
	}
	return nil
}

func checkDigest(s string) error {
	if len(s) != digestLen || !isHex(s) {
		return fmt.Errorf("%q is not a SHA-256 in lower-case hexadecimal", s)
	}
	return nil
}

func isHex(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && hex.EncodeToString(b) == s
}

func checkName(s string) error {
	if s == "" {
		return errors.New("empty")
	}
	return CheckText(s, MaxName)
}
