// SPDX-License-Identifier: GPL-2.0-or-later

// Package live builds programs that check themselves, patches for them, and runs
// them: what the tests on real processes, the torture run and the benchmarks
// share. It needs a C compiler and the right to trace.
package live

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ulpatch/ulpatch/builder"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/keys"
)

//go:embed victims
var victims embed.FS

// Recipe says how to build a program and its fix from one source of victims,
// which is compiled twice, the second time with -DFIXED.
type Recipe struct {
	Source  string   // in victims, without .c
	ID      string   // of the patch; "" for the source's name
	CC      string   // "" for gcc
	Compile []string // beside the usual flags
	Link    []string
	Defines []string // of the fixed object alone, in place of FIXED
	Shared  string   // source of a program for an image that is a shared library
	Program []string // flags for that program
	Spec    *builder.Spec
}

// Fixture is a program, a patch for it, and the key to trust.
type Fixture struct {
	Dir, Program, Image, BundlePath, TrustPath string
	Bundle                                     *format.Bundle
	Result                                     *builder.Result
}

// flags are those of most packages of a distribution, with a section for each
// function and variable.
var flags = []string{"-O2", "-g", "-ffunction-sections", "-fdata-sections", "-fstack-protector-strong", "-pthread", "-Wall"}

// Build compiles a recipe in dir.
func Build(dir string, r Recipe) (*Fixture, error) {
	f, err := compile(dir, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Source, err)
	}
	return f, f.diff(r)
}

func compile(dir string, r Recipe) (*Fixture, error) {
	if r.CC == "" {
		r.CC = "gcc"
	}
	f := &Fixture{Dir: dir, Program: filepath.Join(dir, r.Source)}
	f.Image = f.Program
	sources := []string{r.Source}
	if r.Shared != "" {
		f.Program = filepath.Join(dir, r.Shared)
		f.Image = filepath.Join(dir, "lib"+r.Source+".so")
		sources = append(sources, r.Shared)
	}
	for _, s := range sources {
		data, err := victims.ReadFile("victims/" + s + ".c")
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, s+".c"), data, 0o644); err != nil {
			return nil, err
		}
	}
	defines := r.Defines
	if defines == nil {
		defines = []string{"-DFIXED"}
	}
	cc := slices.Concat(flags, r.Compile)
	if r.Shared != "" {
		cc = append(cc, "-fPIC")
	}
	for _, args := range [][]string{
		slices.Concat(cc, []string{"-c", r.Source + ".c", "-o", "orig.o"}),
		slices.Concat(cc, defines, []string{"-c", r.Source + ".c", "-o", "fixed.o"}),
	} {
		if err := run(dir, r.CC, args...); err != nil {
			return nil, err
		}
	}
	link := slices.Concat([]string{"-pthread", "-Wl,--build-id"}, r.Link)
	if r.Shared == "" {
		return f, run(dir, r.CC, slices.Concat(link, []string{"orig.o", "-o", f.Image})...)
	}
	if err := run(dir, r.CC, slices.Concat(link, []string{"-shared", "orig.o", "-o", f.Image})...); err != nil {
		return nil, err
	}
	return f, run(dir, r.CC, slices.Concat(flags, r.Program, []string{
		r.Shared + ".c", "-o", f.Program, "-L.", "-Wl,--as-needed", "-l" + r.Source, "-Wl,-rpath," + dir, "-ldl",
	})...)
}

func run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// diff makes the bundle, signed with a key of its own.
func (f *Fixture) diff(r Recipe) error {
	id := r.ID
	if id == "" {
		id = r.Source
	}
	image, err := os.Open(f.Image)
	if err != nil {
		return err
	}
	defer image.Close()
	info, err := image.Stat()
	if err != nil {
		return err
	}
	pairs, missing, err := builder.ReadPairs(filepath.Join(f.Dir, "orig.o"), filepath.Join(f.Dir, "fixed.o"))
	if err != nil {
		return err
	}
	f.Result, err = builder.Diff(builder.Options{
		Images: []builder.ImageFile{{Path: f.Image, Image: io.NewSectionReader(image, 0, info.Size())}},
		Pairs:  pairs, Missing: missing, Spec: r.Spec, ID: id,
	})
	if err != nil {
		return err
	}
	return f.sign()
}

func (f *Fixture) sign() error {
	secret, err := keys.Generate()
	if err != nil {
		return err
	}
	public, err := keys.EncodePublic(keys.Public(secret))
	if err != nil {
		return err
	}
	unsigned, err := format.Encode(f.Result.Manifest, f.Result.Payloads)
	if err != nil {
		return err
	}
	signed, err := format.Sign(unsigned, secret)
	if err != nil {
		return err
	}
	f.BundlePath = filepath.Join(f.Dir, f.Result.Manifest.ID+".ulp")
	f.TrustPath = filepath.Join(f.Dir, f.Result.Manifest.ID+".pub")
	if err := os.WriteFile(f.BundlePath, signed, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(f.TrustPath, public, 0o644); err != nil {
		return err
	}
	trust, err := keys.LoadTrust(f.TrustPath)
	if err != nil {
		return err
	}
	f.Bundle, err = format.Open(bytes.NewReader(signed), int64(len(signed)), trust)
	return err
}
