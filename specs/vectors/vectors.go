// SPDX-License-Identifier: GPL-2.0-or-later

// Package vectors holds bundles for readers to be tested with: valid ones, and
// one for each fault, named after it. The files are beside it, for readers in
// other languages; bundle.md describes them. It imports nothing of this module.
package vectors

import (
	"bytes"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

//go:embed *.txt
var files embed.FS

// Vector is a bundle and what a reader has to say of it.
type Vector struct {
	Name string
	// Expect is "valid", or the layer that has to refuse the bundle: envelope,
	// version, signature, manifest, feature, policy, decompress, body.
	Expect  string
	Comment string
	// Keys are the trusted keys, in minisign's format; their secret halves are
	// known to everybody. Threshold of them have to sign.
	Keys      []string
	Threshold int
	// Time is the reader's clock, in the form of a manifest's "expires"; "": not
	// known.
	Time string
	Data []byte
}

// All are the vectors, by name.
func All() ([]Vector, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var all []Vector
	for _, entry := range entries {
		text, err := files.ReadFile(entry.Name())
		if err != nil {
			return nil, err
		}
		v, err := Parse(strings.TrimSuffix(entry.Name(), path.Ext(entry.Name())), text)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// Parse reads the file of a vector.
func Parse(name string, text []byte) (Vector, error) {
	v, err := parse(text)
	if err != nil {
		return Vector{}, fmt.Errorf("vector %s: %w", name, err)
	}
	v.Name = name
	return v, nil
}

func parse(text []byte) (v Vector, err error) {
	head, body, ok := strings.Cut(string(text), "\n\n")
	if !ok {
		return v, errors.New("no empty line")
	}
	v.Threshold = 1
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "expect":
			v.Expect = value
		case "comment":
			v.Comment = value
		case "key":
			v.Keys = append(v.Keys, value)
		case "threshold":
			if v.Threshold, err = strconv.Atoi(value); err != nil {
				return v, err
			}
		case "time":
			v.Time = value
		default:
			return v, fmt.Errorf("unknown line %q", line)
		}
	}
	v.Data, err = hex.DecodeString(strings.ReplaceAll(body, "\n", ""))
	return v, err
}

// Marshal is the content of the vector's file.
func (v Vector) Marshal() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "expect: %s\ncomment: %s\n", v.Expect, v.Comment)
	for _, key := range v.Keys {
		fmt.Fprintf(&out, "key: %s\n", key)
	}
	if v.Threshold != 1 {
		fmt.Fprintf(&out, "threshold: %d\n", v.Threshold)
	}
	if v.Time != "" {
		fmt.Fprintf(&out, "time: %s\n", v.Time)
	}
	out.WriteByte('\n')
	for rest := v.Data; len(rest) > 0; {
		n := min(32, len(rest))
		fmt.Fprintf(&out, "%x\n", rest[:n])
		rest = rest[n:]
	}
	return out.Bytes()
}
