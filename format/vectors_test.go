// SPDX-License-Identifier: GPL-2.0-or-later

package format_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/payload"
)

var update = flag.Bool("update", false, "write specs/vectors again")

const vectorDir = "../specs/vectors"

// layers are the words that a vector's "expect" may have.
var layers = map[string]error{
	"valid":      nil,
	"envelope":   format.ErrEnvelope,
	"version":    format.ErrVersion,
	"signature":  format.ErrSignature,
	"manifest":   format.ErrManifest,
	"feature":    format.ErrFeature,
	"decompress": format.ErrDecompress,
	"body":       format.ErrBody,
}

// vector is a file of specs/vectors: lines "key: value", an empty line, and the
// bundle in hexadecimal.
type vector struct {
	expect, comment, key string
	data                 []byte
}

func (v vector) marshal() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "expect: %s\ncomment: %s\nkey: %s\n\n", v.expect, v.comment, v.key)
	for rest := v.data; len(rest) > 0; {
		n := min(32, len(rest))
		fmt.Fprintf(&out, "%x\n", rest[:n])
		rest = rest[n:]
	}
	return out.Bytes()
}

func parseVector(t *testing.T, path string) vector {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, body, ok := strings.Cut(string(text), "\n\n")
	if !ok {
		t.Fatalf("%s: no empty line", path)
	}
	var v vector
	for _, line := range strings.Split(head, "\n") {
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "expect":
			v.expect = value
		case "comment":
			v.comment = value
		case "key":
			v.key = value
		default:
			t.Fatalf("%s: unknown line %q", path, line)
		}
	}
	if v.data, err = hex.DecodeString(strings.ReplaceAll(body, "\n", "")); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// TestVectors reads every vector as the applier does and wants the error of the
// layer that it names, and of no other. With -update it makes them first.
func TestVectors(t *testing.T) {
	made := makeVectors(t)
	if *update {
		writeVectors(t, made)
	}
	files, err := filepath.Glob(filepath.Join(vectorDir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(made) {
		t.Errorf("%d vectors on disk, %d are made: run with -update", len(files), len(made))
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		t.Run(name, func(t *testing.T) {
			v := parseVector(t, path)
			if !bytes.Equal(v.marshal(), made[name].marshal()) {
				t.Error("the file is not what is made: run with -update")
			}
			want, known := layers[v.expect]
			if !known {
				t.Fatalf("unknown layer %q", v.expect)
			}
			checkLayer(t, readAll(t, v), want)
		})
	}
}

func checkLayer(t *testing.T, err, want error) {
	t.Helper()
	for name, sentinel := range layers {
		if sentinel != nil && errors.Is(err, sentinel) != (sentinel == want) {
			t.Errorf("%v: layer %s, expected %v", err, name, want)
		}
	}
	if want == nil && err != nil {
		t.Error(err)
	}
}

// readAll opens a vector and reads every payload.
func readAll(t *testing.T, v vector) error {
	t.Helper()
	var key format.PublicKey
	if err := key.UnmarshalText([]byte(v.key)); err != nil {
		t.Fatal(err)
	}
	b, err := format.Open(bytes.NewReader(v.data), int64(len(v.data)), format.TrustKeys(key))
	if err != nil {
		return err
	}
	for i := range b.Manifest.Payloads {
		if _, err := payload.FromBundle(b, i); err != nil {
			return err
		}
	}
	return nil
}

func writeVectors(t *testing.T, made map[string]vector) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(vectorDir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for name, v := range made {
		if err := os.WriteFile(filepath.Join(vectorDir, name+".txt"), v.marshal(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// The worked example in the specification is a vector.
func TestWorkedExample(t *testing.T) {
	spec, err := os.ReadFile("../specs/bundle.md")
	if err != nil {
		t.Fatal(err)
	}
	v := parseVector(t, filepath.Join(vectorDir, "valid-one-payload.txt"))
	if dump := hex.Dump(v.data); !strings.Contains(string(spec), "```\n"+dump+"```\n") {
		t.Errorf("the specification does not have\n%s", dump)
	}
}
