// SPDX-License-Identifier: GPL-2.0-or-later

package format_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/payload"
	"github.com/ulpatch/ulpatch/specs/vectors"
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
	"policy":     format.ErrPolicy,
	"body":       format.ErrBody,
}

func parseVector(t *testing.T, path string) vectors.Vector {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vectors.Parse(strings.TrimSuffix(filepath.Base(path), ".txt"), text)
	if err != nil {
		t.Fatal(err)
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
			if !bytes.Equal(v.Marshal(), made[name].Marshal()) {
				t.Error("the file is not what is made: run with -update")
			}
			want, known := layers[v.Expect]
			if !known {
				t.Fatalf("unknown layer %q", v.Expect)
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
func readAll(t *testing.T, v vectors.Vector) error {
	t.Helper()
	b, err := format.Open(bytes.NewReader(v.Data), int64(len(v.Data)), trustOf(t, v))
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

// trustOf is the trust that a vector is to be read with.
func trustOf(t *testing.T, v vectors.Vector) format.Trust {
	t.Helper()
	policy := format.Policy{Threshold: v.Threshold}
	for _, text := range v.Keys {
		var key format.PublicKey
		if err := key.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		policy.Keys = append(policy.Keys, format.TrustedKey{Key: key})
	}
	if v.Time != "" {
		var now format.Time
		if err := now.UnmarshalText([]byte(v.Time)); err != nil {
			t.Fatal(err)
		}
		policy.Clock = func() (time.Time, error) { return time.Unix(int64(now), 0), nil }
	}
	return format.NewTrust(policy)
}

func writeVectors(t *testing.T, made map[string]vectors.Vector) {
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
		if err := os.WriteFile(filepath.Join(vectorDir, name+".txt"), v.Marshal(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// The worked example in the specification is a vector. With -update its bytes
// are written again; the prose round them is for people.
func TestWorkedExample(t *testing.T) {
	const path = "../specs/bundle.md"
	spec, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := parseVector(t, filepath.Join(vectorDir, "valid-one-payload.txt"))
	dump := "```\n" + hex.Dump(v.Data) + "```\n"
	if *update {
		at := bytes.LastIndex(spec, []byte("```\n00000000 "))
		if err := os.WriteFile(path, append(spec[:at:at], dump...), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !strings.HasSuffix(string(spec), dump) {
		t.Errorf("the specification does not end with\n%s", dump)
	}
}

// What the package embeds is what is on disk, and enough of it.
func TestEmbeddedVectors(t *testing.T) {
	all, err := vectors.All()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 80 {
		t.Errorf("%d vectors", len(all))
	}
	for _, v := range all {
		if disk := parseVector(t, filepath.Join(vectorDir, v.Name+".txt")); !reflect.DeepEqual(disk, v) {
			t.Errorf("%s: embedded and on disk differ", v.Name)
		}
	}
}
