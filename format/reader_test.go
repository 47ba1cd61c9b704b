// SPDX-License-Identifier: GPL-2.0-or-later

package format_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/specs/vectors"
)

// read runs the reader that was written from the specification alone.
func read(t *testing.T, command, path string, v vectors.Vector, more ...string) (stdout string, err error) {
	t.Helper()
	args := []string{"../specs/reader.py", command, path, "--threshold", strconv.Itoa(v.Threshold), "--time", v.Time}
	for _, key := range v.Keys {
		args = append(args, "--key", key)
	}
	var out, problem bytes.Buffer
	cmd := exec.Command("python3", append(args, more...)...)
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 3 {
			return "", errors.New(strings.TrimSpace(problem.String()))
		}
		t.Fatalf("%s: %v: %s", command, err, problem.String())
	}
	return out.String(), nil
}

// The two readers agree on every vector: they take the same out of the valid
// ones, and refuse the others in the same layer.
func TestIndependentReader(t *testing.T) {
	all, err := vectors.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, v.Name+".ulp")
			if err := os.WriteFile(path, v.Data, 0o600); err != nil {
				t.Fatal(err)
			}
			if v.Expect != "valid" {
				if _, err := read(t, "verify", path, v); err == nil || !strings.HasPrefix(err.Error(), v.Expect+": ") {
					t.Errorf("%v, expected a refusal in layer %s", err, v.Expect)
				}
				return
			}
			b, err := format.Open(bytes.NewReader(v.Data), int64(len(v.Data)), trustOf(t, v))
			if err != nil {
				t.Fatal(err)
			}
			checkExtracted(t, path, filepath.Join(dir, "out"), v, b)
		})
	}
}

func checkExtracted(t *testing.T, path, out string, v vectors.Vector, b *format.Bundle) {
	t.Helper()
	if _, err := read(t, "extract", path, v, "-d", out); err != nil {
		t.Fatal(err)
	}
	list, err := read(t, "list", path, v)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := format.EncodeManifest(b.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{"manifest.json": manifest, "signed": v.Data[:unverified(t, v.Data).SignedSize()]}
	for i, p := range b.Manifest.Payloads {
		if want[p.Image.Machine+"-"+p.Image.BuildID+".o"], err = b.Payload(i); err != nil {
			t.Fatal(err)
		}
		if line := p.Image.Machine + " " + p.Image.BuildID; !strings.Contains(list, line) {
			t.Errorf("%q is not in the list %q", line, list)
		}
	}
	entries, err := os.ReadDir(out)
	if err != nil || len(entries) != len(want) {
		t.Errorf("%d files, expected %d: %v", len(entries), len(want), err)
	}
	for name, content := range want {
		if got, err := os.ReadFile(filepath.Join(out, name)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s differs: %v", name, err)
		}
	}
}
