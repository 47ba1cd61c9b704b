// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tool is a program of the cross compiler's.
func tool(name string) string { return "aarch64-linux-gnu-" + name }

// run fails the test with the tool's own words.
func run(t testing.TB, tool string, args ...string) {
	t.Helper()
	if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", tool, strings.Join(args, " "), err, out)
	}
}

// assemble returns the object that as makes of src.
func assemble(t testing.TB, name, src string) string {
	t.Helper()
	dir := t.TempDir()
	source, object := filepath.Join(dir, name+".s"), filepath.Join(dir, name+".o")
	if err := os.WriteFile(source, []byte(src), 0o666); err != nil {
		t.Fatal(err)
	}
	run(t, tool("as"), "-o", object, source)
	return object
}
