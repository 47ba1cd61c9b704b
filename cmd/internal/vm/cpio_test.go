// SPDX-License-Identifier: GPL-2.0-or-later

package vm

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

type record struct {
	mode, major, minor int
	data               string
}

// unpack reads a cpio archive in the way the kernel does.
func unpack(t *testing.T, data []byte) map[string]record {
	t.Helper()
	files := map[string]record{}
	align := func(n int) int { return (n + 3) &^ 3 }
	for at := 0; ; {
		header := data[at : at+110]
		if string(header[:6]) != "070701" {
			t.Fatalf("magic %q at %d", header[:6], at)
		}
		var field [13]int
		for i := range field {
			n, err := strconv.ParseInt(string(header[6+8*i:14+8*i]), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			field[i] = int(n)
		}
		size, nameSize := field[6], field[11]
		name := string(data[at+110 : at+110+nameSize-1])
		begin := at + align(110+nameSize)
		if name == "TRAILER!!!" {
			return files
		}
		if _, twice := files[name]; twice {
			t.Errorf("%s is there twice", name)
		}
		if parent := filepath.Dir(name); parent != "." && files[parent].mode&modeDirectory == 0 {
			t.Errorf("%s comes before its folder", name)
		}
		files[name] = record{field[1], field[9], field[10], string(data[begin : begin+size])}
		at = align(begin + size)
	}
}

func pack(t *testing.T, a *Archive) map[string]record {
	t.Helper()
	var out bytes.Buffer
	if _, err := a.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return unpack(t, out.Bytes())
}

func TestArchive(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a": "1", "sub/b": "22", "sub/deep/c": ""} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	a := NewArchive(nil)
	if err := a.File(dir, "/x/tree"); err != nil {
		t.Fatal(err)
	}
	a.Data("/etc/one", 0o600, []byte("first"))
	a.Data("/etc/one", 0o600, []byte("second"))
	a.Link("/bin", "x")
	files := pack(t, a)
	for name, want := range map[string]record{
		"dev/console":       {modeCharacterDevice | 0o600, 5, 1, ""},
		"x":                 {modeDirectory | 0o755, 0, 0, ""},
		"x/tree/a":          {modeRegular | 0o755, 0, 0, "1"},
		"x/tree/sub/b":      {modeRegular | 0o755, 0, 0, "22"},
		"x/tree/sub/deep/c": {modeRegular | 0o755, 0, 0, ""},
		"x/tree/link":       {modeRegular | 0o755, 0, 0, "1"},
		"etc/one":           {modeRegular | 0o600, 0, 0, "first"},
		"bin":               {modeLink | 0o777, 0, 0, "x"},
	} {
		if files[name] != want {
			t.Errorf("%s: %+v, expected %+v", name, files[name], want)
		}
	}
}

// TestNeeds: a dynamic program comes with its interpreter and what it needs, and
// what is missing is named.
func TestNeeds(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.c"), []byte("#include <math.h>\nint main(int c, char **v) { (void)v; return (int)pow(c, 2.5); }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "p")
	cmd := exec.Command("aarch64-linux-gnu-gcc", "-O0", filepath.Join(dir, "p.c"), "-o", program, "-lm")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	a := NewArchive([]string{filepath.Join(dir, "none"), "/usr/aarch64-linux-gnu/lib"})
	if err := a.File(program, "/p"); err != nil {
		t.Fatal(err)
	}
	files := pack(t, a)
	for _, name := range []string{"p", "lib/ld-linux-aarch64.so.1", "lib/libc.so.6", "lib/libm.so.6", "lib/libgcc_s.so.1"} {
		if f := files[name]; f.mode != modeRegular|0o755 && f.mode != modeRegular|0o644 || len(f.data) < 1000 {
			t.Errorf("%s: mode %o, %d bytes", name, f.mode, len(f.data))
		}
	}
	err := NewArchive([]string{dir}).File(program, "/p")
	if err == nil || !strings.Contains(err.Error(), "ld-linux-aarch64.so.1") {
		t.Errorf("without libraries: %v", err)
	}
}

// TestCached: a folder is in the cache when it is complete and not before.
func TestCached(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	broken := fmt.Errorf("the network is down")
	if _, err := cached("cpu/thing", func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "half"), nil, 0o644); err != nil {
			return err
		}
		return broken
	}); err == nil || !strings.Contains(err.Error(), broken.Error()) {
		t.Fatalf("%v", err)
	}
	root, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	// As somebody leaves it who is killed while he fetches.
	if err := os.MkdirAll(filepath.Join(root, "cpu/thing.part/rest"), 0o755); err != nil {
		t.Fatal(err)
	}
	fills := 0
	for range 2 {
		dir, err := cached("cpu/thing", func(dir string) error {
			fills++
			return os.WriteFile(filepath.Join(dir, "whole"), nil, 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			names = append(names, filepath.Base(path))
			return err
		})
		if err != nil || !slices.Equal(names, []string{"thing", "whole"}) {
			t.Fatalf("%v, %v", names, err)
		}
	}
	if fills != 1 {
		t.Errorf("filled %d times", fills)
	}
}
