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
	"path"
	"path/filepath"
	"slices"

	"github.com/ulpatch/ulpatch/builder"
	"github.com/ulpatch/ulpatch/builder/include"
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
	Strip   bool     // the program, after the patch was made
	Shared  string   // source of a program for an image that is a shared library
	Program []string // flags for that program
	Spec    *builder.Spec
	Rebuild []string // flags to compile both objects anew with, once the image is linked: unproved
}

// Fixture is a program, a patch for it, and the key to trust.
type Fixture struct {
	Dir, Program, Image, BundlePath, TrustPath string
	Bundle                                     *format.Bundle
	Result                                     *builder.Result // nil if it was prepared elsewhere
}

// flags are those of most packages of a distribution, with a section for each
// function and variable.
var flags = []string{"-O2", "-g", "-ffunction-sections", "-fdata-sections", "-fstack-protector-strong", "-pthread", "-Wall"}

// Build makes a recipe's program and patch in dir.
func Build(dir string, r Recipe) (*Fixture, error) {
	if r.CC == "" {
		r.CC = "gcc"
	}
	if r.ID == "" {
		r.ID = r.Source
	}
	f := r.fixture(dir)
	err := kept(dir, r, func() error {
		if err := f.compile(r); err != nil {
			return err
		}
		if err := f.diff(builder.Options{ID: r.ID, Spec: r.Spec, Unproved: r.Rebuild != nil}); err != nil {
			return err
		}
		if !r.Strip {
			return nil
		}
		strip, err := stripper()
		if err != nil {
			return err
		}
		return run(dir, strip, f.Program)
	})
	if err == nil {
		err = f.open()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Source, err)
	}
	return f, nil
}

// fixture says where things will be.
func (r Recipe) fixture(dir string) *Fixture {
	f := newFixture(dir, r.Source, r.ID)
	if r.Shared != "" {
		f.Program = filepath.Join(dir, r.Shared)
		f.Image = filepath.Join(dir, "lib"+r.Source+".so")
	}
	return f
}

func newFixture(dir, program, id string) *Fixture {
	image := filepath.Join(dir, program)
	return &Fixture{
		Dir: dir, Program: image, Image: image,
		BundlePath: filepath.Join(dir, id+".ulp"), TrustPath: filepath.Join(dir, id+".pub"),
	}
}

func (f *Fixture) compile(r Recipe) error {
	if err := f.sources(r); err != nil {
		return err
	}
	defines := r.Defines
	if defines == nil {
		defines = []string{"-DFIXED"}
	}
	// The same program has the same build-id, wherever it is built.
	cc := slices.Concat(flags, []string{"-ffile-prefix-map=" + f.Dir + "=."}, r.Compile)
	if r.Shared != "" {
		cc = append(cc, "-fPIC")
	}
	link := slices.Concat([]string{"-pthread", "-Wl,--build-id"}, r.Link)
	commands := [][]string{
		slices.Concat(cc, []string{"-c", r.Source + ".c", "-o", "orig.o"}),
		slices.Concat(cc, defines, []string{"-c", r.Source + ".c", "-o", "fixed.o"}),
	}
	if r.Shared == "" {
		commands = append(commands, slices.Concat(link, []string{"orig.o", "-o", f.Image}))
	} else {
		commands = append(commands,
			slices.Concat(link, []string{"-shared", "orig.o", "-o", f.Image}),
			slices.Concat(flags, r.Program, []string{
				r.Shared + ".c", "-o", f.Program, "-L.", "-Wl,--as-needed", "-l" + r.Source, "-Wl,-rpath,$ORIGIN", "-ldl",
			}))
	}
	if r.Rebuild != nil {
		for _, args := range commands[:2] {
			commands = append(commands, slices.Concat(args, r.Rebuild))
		}
	}
	for _, args := range commands {
		if err := compile(f.Dir, r.CC, args...); err != nil {
			return err
		}
	}
	return nil
}

// sources writes a recipe's sources, and the CPU's own part of them, which is
// victims/CPU: a port to another CPU begins with such a folder.
func (f *Fixture) sources(r Recipe) error {
	names := []string{r.Source + ".c"}
	if r.Shared != "" {
		names = append(names, r.Shared+".c")
	}
	headers, err := victims.ReadDir(path.Join("victims", CPU()))
	if err != nil {
		return fmt.Errorf("the programs have no part for %s: %w", CPU(), err)
	}
	for _, h := range headers {
		names = append(names, path.Join(CPU(), h.Name()))
	}
	if err := os.WriteFile(filepath.Join(f.Dir, include.Name), include.Header, 0o644); err != nil {
		return err
	}
	for _, name := range names {
		data, err := victims.ReadFile(path.Join("victims", name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(f.Dir, path.Base(name)), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// diff makes the bundle of orig.o, fixed.o and the image, signed with a key of its
// own.
func (f *Fixture) diff(opts builder.Options) error {
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
	opts.Images = []builder.ImageFile{{Path: f.Image, Image: io.NewSectionReader(image, 0, info.Size())}}
	opts.Pairs, opts.Missing = pairs, missing
	f.Result, err = builder.Diff(opts)
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
	if err := os.WriteFile(f.BundlePath, signed, 0o644); err != nil {
		return err
	}
	return os.WriteFile(f.TrustPath, public, 0o644)
}

// open reads the bundle.
func (f *Fixture) open() error {
	signed, err := os.ReadFile(f.BundlePath)
	if err != nil {
		return err
	}
	trust, err := keys.LoadTrust(f.TrustPath)
	if err != nil {
		return err
	}
	f.Bundle, err = format.Open(bytes.NewReader(signed), int64(len(signed)), trust)
	return err
}
