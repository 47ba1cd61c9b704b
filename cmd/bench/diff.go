// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ulpatch/ulpatch/builder"
)

const (
	objects   = 1500
	functions = 12 // in each object
	big       = 1000
)

// diffs prints how long it takes to make a patch of a tree of objects of which
// one has changed, against reading the same files with sha256sum, and of one
// unit of many functions, against readelf.
func diffs() error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("\ntime to make a patch, in milliseconds, the best of 5\n")
	if err := tree(dir); err != nil {
		return err
	}
	return unit(dir)
}

// source is a unit of n functions; fixed changes the last.
func source(name string, n int, fixed bool) string {
	var b strings.Builder
	b.WriteString("#include <stdio.h>\n")
	for i := range n {
		change := ""
		if fixed && i == n-1 {
			change = "if (x < 0) return -1;"
		}
		fmt.Fprintf(&b, "static int count_%s_%d;\nint f_%s_%d(int x) { %s count_%s_%d++; printf(\"%%d %s %d\\n\", x); return x * %d + count_%s_%d; }\n",
			name, i, name, i, change, name, i, name, i, i+3, name, i)
	}
	return b.String()
}

func gcc(dir string, args ...string) error {
	cmd := exec.Command("gcc", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("gcc: %w\n%s", err, out)
	}
	return nil
}

// compile writes one object, by way of a source file that it removes.
func compile(dir, object, text string) error {
	path := filepath.Join(dir, object+".c")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	defer os.Remove(path)
	return gcc(dir, "-O2", "-ffunction-sections", "-fdata-sections", "-c", object+".c", "-o", object)
}

func tree(dir string) error {
	orig, fixed := filepath.Join(dir, "orig"), filepath.Join(dir, "fixed")
	for _, d := range []string{orig, fixed} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	// One compilation of many functions is quicker than many of few; the objects
	// differ in what is linked, so that most are copies of other names.
	if err := compile(orig, "unit.o", source("unit", functions, false)); err != nil {
		return err
	}
	if err := compile(fixed, "unit.o", source("unit", functions, true)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(orig, "main.c"), []byte("int main(void) { return 0; }\n"), 0o644); err != nil {
		return err
	}
	image := filepath.Join(dir, "tree")
	if err := gcc(orig, "main.c", "unit.o", "-Wl,--build-id", "-o", image); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(orig, "main.c")); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(orig, "unit.o"))
	if err != nil {
		return err
	}
	for i := range objects - 1 {
		for _, d := range []string{orig, fixed} {
			if err := os.WriteFile(filepath.Join(d, fmt.Sprintf("other%d.o", i)), data, 0o644); err != nil {
				return err
			}
		}
	}
	mine, err := best(func() error { return diff(image, orig, fixed) })
	if err != nil {
		return err
	}
	sums, err := best(func() error {
		return exec.Command("sh", "-c", "find orig fixed -name '*.o' -print0 | xargs -0 sha256sum").Run()
	}, dir)
	if err != nil {
		return err
	}
	fmt.Printf("tree of %d objects, one changed: %.1f, sha256sum %.1f, ratio %.2f\n", objects, ms(mine), ms(sums), ms(mine)/ms(sums))
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.o"))
	if err != nil {
		return err
	}
	return compareMemory("sha256sum", image, orig, fixed, exec.Command("sha256sum", files...))
}

func unit(dir string) error {
	orig, fixed := filepath.Join(dir, "big.orig.o"), filepath.Join(dir, "big.fixed.o")
	if err := compile(dir, "big.orig.o", source("big", big, false)); err != nil {
		return err
	}
	if err := compile(dir, "big.fixed.o", source("big", big, true)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "main.c"), []byte("int main(void) { return 0; }\n"), 0o644); err != nil {
		return err
	}
	image := filepath.Join(dir, "big")
	if err := gcc(dir, "main.c", "big.orig.o", "-Wl,--build-id", "-o", image); err != nil {
		return err
	}
	mine, err := best(func() error { return diff(image, orig, fixed) })
	if err != nil {
		return err
	}
	readelf, err := best(func() error { return exec.Command("readelf", "-aW", orig, fixed).Run() })
	if err != nil {
		return err
	}
	fmt.Printf("unit of %d functions: %.1f, readelf -aW %.1f, ratio %.2f\n", big, ms(mine), ms(readelf), ms(mine)/ms(readelf))
	return compareMemory("readelf", image, orig, fixed, exec.Command("readelf", "-aW", orig, fixed))
}

func diff(image, orig, fixed string) error {
	f, err := os.Open(image)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	pairs, missing, err := builder.ReadPairs(orig, fixed)
	if err != nil {
		return err
	}
	_, err = builder.Diff(builder.Options{
		Images: []builder.ImageFile{{Path: image, Image: io.NewSectionReader(f, 0, info.Size())}},
		Pairs:  pairs, Missing: missing, ID: "bench",
	})
	return err
}

// best is the shortest of some runs of f, in dir if one is given.
func best(f func() error, dir ...string) (time.Duration, error) {
	if len(dir) > 0 {
		back, err := os.Getwd()
		if err != nil {
			return 0, err
		}
		if err := os.Chdir(dir[0]); err != nil {
			return 0, err
		}
		defer func() { _ = os.Chdir(back) }()
	}
	var shortest time.Duration
	for range 5 {
		start := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		if d := time.Since(start); shortest == 0 || d < shortest {
			shortest = d
		}
	}
	return shortest, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
