// SPDX-License-Identifier: GPL-2.0-or-later

package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// ErrCanonical: bytes say something that their writer must say in another way.
var ErrCanonical = errors.New("not in canonical form")

// encodeCanonical writes v in canonical JSON: keys in the order of the fields,
// no white space, integers only, nothing escaped but quote and backslash. The
// caller has checked every string with checkText.
func encodeCanonical(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// decodeCanonical reads one JSON value and wants that encode writes it back
// byte for byte; so members that are unknown, repeated, spelled in another case
// or in another order are refused.
func decodeCanonical[T any](data []byte, encode func(T) ([]byte, error)) (T, error) {
	var v, none T
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return none, errors.New("json: cut short")
		}
		return none, err
	}
	again, err := encode(v)
	if err != nil {
		return none, err
	}
	if !bytes.Equal(again, data) {
		return none, fmt.Errorf("json: %w", ErrCanonical)
	}
	return v, nil
}

// MarshalText writes "0x1f": lower case, no leading zeros.
func (h Hex) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText writes and nothing else.
func (h *Hex) UnmarshalText(text []byte) error {
	if len(text) < 3 || text[0] != '0' || text[1] != 'x' {
		return fmt.Errorf("%q is not a number of the form 0x1f", text)
	}
	v, err := strconv.ParseUint(string(text[2:]), 16, 64)
	if err != nil || Hex(v).String() != string(text) {
		return fmt.Errorf("%q is not a number of the form 0x1f", text)
	}
	*h = Hex(v)
	return nil
}

func (h Hex) String() string { return "0x" + strconv.FormatUint(uint64(h), 16) }

// CheckText tells whether s may stand in a bundle: at most max bytes of UTF-8
// and no character that JSON writers encode in different ways or that a
// terminal does not show as what it is (controls, line and paragraph
// separators, marks that change the direction of text, specials).
func CheckText(s string, max int) error {
	if len(s) > max {
		return fmt.Errorf("%d bytes, more than %d", len(s), max)
	}
	for i, r := range s {
		if r == utf8.RuneError {
			return fmt.Errorf("byte %d: not UTF-8, or U+FFFD", i)
		}
		if !plainRune(r) {
			return fmt.Errorf("byte %d: character %U is not allowed", i, r)
		}
	}
	return nil
}

func plainRune(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0x9f: // controls
		return false
	case r == 0xad, r == 0x61c, r == 0x180e: // soft hyphen, Arabic letter mark, Mongolian vowel separator
		return false
	case r >= 0x200b && r <= 0x200f: // zero width, direction marks
		return false
	case r >= 0x2028 && r <= 0x202e: // separators, embeddings, overrides
		return false
	case r >= 0x2060 && r <= 0x206f: // joiners, isolates
		return false
	case r == 0xfeff, r >= 0xfff0 && r <= 0xffff: // byte order mark, specials
		return false
	}
	return true
}
