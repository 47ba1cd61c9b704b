// SPDX-License-Identifier: GPL-2.0-or-later

package format_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
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

// The worked example, at the end of the specification, is a vector. With -update
// it is written again.
func TestWorkedExample(t *testing.T) {
	const path = "../specs/bundle.md"
	spec, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	example := workedExample(parseVector(t, filepath.Join(vectorDir, "valid-one-payload.txt")).Data)
	if *update {
		at := bytes.Index(spec, []byte(example[:strings.IndexByte(example, '\n')+1]))
		if err := os.WriteFile(path, append(spec[:at:at], example...), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !strings.HasSuffix(string(spec), example) {
		t.Errorf("the specification does not end with\n%s", example)
	}
}

// workedExample explains a bundle of one payload, whose frame has a content size
// of two bytes.
func workedExample(data []byte) string {
	le := binary.LittleEndian
	manifest, frames := le.Uint64(data[16:]), le.Uint64(data[24:])
	frame := format.HeaderSize + manifest
	end := frame + frames
	content := le.Uint16(data[frame+5:])
	return fmt.Sprintf("## A worked example\n\n"+
		"The vector `valid-one-payload`. The header: magic, version %d, flags %d, a manifest of %#x bytes, frames of %#x bytes. "+
		"The manifest begins at %#x. The frame begins at %#x: `% x`, descriptor %#x (single segment, content size of two bytes), content size %#04x + 256 = %d. "+
		"The signed bytes end at %#x. The block: %d signature of %#x bytes.\n\n```\n%s```\n",
		le.Uint32(data[8:]), le.Uint32(data[12:]), manifest, frames,
		format.HeaderSize, frame, data[frame:frame+4], data[frame+4], content, int(content)+256,
		end, le.Uint32(data[end:]), le.Uint32(data[end+4:]), hex.Dump(data))
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
