// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/builder"
	"github.com/ulpatch/ulpatch/cmd/internal/ui"
	"github.com/ulpatch/ulpatch/format"
)

func diffCommand() *cli.Command {
	return &cli.Command{
		Name:  "diff",
		Usage: "make a signed bundle out of original and fixed objects and the image",
		Description: "--orig and --fixed name an object, an archive, or a tree of these, paired by\n" +
			"relative path. The original objects must be those that the image was linked\n" +
			"from. Exit code 3: refused; each reason has a code, listed in patch-spec.md.",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "image", Usage: "linked `FILE` as it is shipped; may be repeated"},
			&cli.StringSliceFlag{Name: "debug-image", Usage: "`FILE` with the symbols of a stripped image of the same build-id; may be repeated"},
			&cli.StringFlag{Name: "orig", Usage: "`PATH` of what the image was linked from"},
			&cli.StringFlag{Name: "fixed", Usage: "`PATH` of the same with the fix"},
			&cli.StringFlag{Name: "spec", Usage: "patch spec `FILE` (TOML)"},
			&cli.StringFlag{Name: "sysroot", Value: "/", Usage: "root `DIR` of the system that the image runs on: new imports are looked for in its libraries"},
			&cli.StringSliceFlag{Name: "library-path", Usage: "`DIR` to look for libraries in first; may be repeated"},
			&cli.StringFlag{Name: "id", Usage: "`NAME` of the patch; overrides the spec's"},
			keysFlag(),
			&cli.BoolFlag{Name: "unsigned", Usage: "sign it later, with sign or with digest and attach"},
			expiresFlag(),
			&cli.StringFlag{Name: "report", Usage: "write a report to `FILE` (JSON)"},
			&cli.BoolFlag{Name: "lines", Usage: "patch also functions that differ in line numbers alone"},
			&cli.BoolFlag{Name: "strict", Usage: "fail where there would be a warning"},
			&cli.StringFlag{Name: "unproved", Value: "refuse", Usage: "what to do with objects that the image is not proved to have been linked from: refuse or `warn`"},
			&cli.BoolFlag{Name: "verbose", Usage: "tell what is being done"},
			outputFlag(),
		},
		Action: diff,
	}
}

func diff(c *cli.Context) error {
	if _, err := ui.Args(c); err != nil {
		return err
	}
	paths := map[string]string{}
	for _, flag := range []string{"orig", "fixed", "o"} {
		var err error
		if paths[flag], err = ui.Required(c, flag); err != nil {
			return err
		}
	}
	if len(c.StringSlice("image")) == 0 {
		return ui.Hint(ui.Usagef("--image is missing"), "see "+program+" diff --help")
	}
	opts, err := diffOptions(c)
	if err != nil {
		return err
	}
	secrets, err := readSecrets(c)
	if err != nil {
		return err
	}
	if (len(secrets) == 0) != c.Bool("unsigned") {
		return ui.Hint(ui.Usagef("either --key or --unsigned"), "see "+program+" diff --help")
	}
	expires, _, err := expiry(c)
	if err != nil {
		return err
	}
	if opts.Pairs, opts.Missing, err = builder.ReadPairs(paths["orig"], paths["fixed"]); err != nil {
		return err
	}
	files, err := openImages(opts, c.StringSlice("image"), c.StringSlice("debug-image"))
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return refused(c, err)
	}
	result, err := builder.Diff(*opts)
	if err != nil {
		return refused(c, err)
	}
	result.Manifest.Expires = expires
	return writeResult(c, result, secrets, paths["o"])
}

func diffOptions(c *cli.Context) (*builder.Options, error) {
	opts := &builder.Options{Libraries: builder.LibraryPath{Sysroot: c.String("sysroot"), Dirs: c.StringSlice("library-path")},
		ID: c.String("id"), Strict: c.Bool("strict"), Lines: c.Bool("lines"), Logger: ui.Logger(c.App.ErrWriter, program, c.Bool("verbose"))}
	switch c.String("unproved") {
	case "refuse":
	case "warn":
		opts.Unproved = true
	default:
		return nil, ui.Usagef("--unproved: %q is neither refuse nor warn", c.String("unproved"))
	}
	if path := c.String("spec"); path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if opts.Spec, err = builder.ParseSpec(path, data); err != nil {
			return nil, err
		}
	}
	if opts.ID == "" && (opts.Spec == nil || opts.Spec.ID == "") {
		_, err := ui.Required(c, "id")
		return nil, err
	}
	if opts.ID != "" {
		if err := format.CheckID(opts.ID); err != nil {
			return nil, ui.Exit(ui.Usage, err)
		}
	}
	return opts, nil
}

// openImages adds the images, each with the debug image of the same build-id,
// to opts. The files have to be closed, also with an error.
func openImages(opts *builder.Options, images, debugs []string) (files []*os.File, err error) {
	open := func(path string) (*io.SectionReader, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s: not a regular file", path)
		}
		return io.NewSectionReader(f, 0, info.Size()), nil
	}
	for _, path := range images {
		r, err := open(path)
		if err != nil {
			return files, err
		}
		opts.Images = append(opts.Images, builder.ImageFile{Path: path, Image: r})
	}
	for _, path := range debugs {
		r, err := open(path)
		if err != nil {
			return files, err
		}
		if err := builder.AttachDebug(opts.Images, path, r); err != nil {
			return files, err
		}
	}
	return files, nil
}

// mostOfCode is how many refusals of one code are printed; a report has all.
const mostOfCode = 10

// refused prints the reasons but the last, and returns that with its exit code.
func refused(c *cli.Context, err error) error {
	var all builder.Refusals
	if !errors.As(err, &all) || len(all) == 0 {
		return err
	}
	last := all[len(all)-1]
	hints := []string{last.Advice}
	count := map[builder.Code]int{}
	for _, r := range all[:len(all)-1] {
		if count[r.Code]++; count[r.Code] > mostOfCode {
			continue
		}
		ui.Errorf(c.App.ErrWriter, program, "%v", r)
		if r.Advice != "" && !slices.Contains(hints, r.Advice) {
			hints = append(hints, r.Advice)
			ui.Hintf(c.App.ErrWriter, program, "%s", r.Advice)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(count)) {
		if more := count[code] - mostOfCode; more > 0 {
			ui.Errorf(c.App.ErrWriter, program, "and %d more [%s]", more, code)
		}
	}
	plain := errors.New(last.Error())
	if last.Advice == "" {
		return ui.Exit(ui.Refused, plain)
	}
	return ui.Exit(ui.Refused, ui.Hint(plain, last.Advice))
}

// writeResult signs and writes the bundle, and the report if one is wanted: both
// or neither.
func writeResult(c *cli.Context, r *builder.Result, secrets []format.PrivateKey, output string) error {
	data, err := format.Encode(r.Manifest, r.Payloads)
	if err != nil {
		return err
	}
	if len(secrets) > 0 {
		if data, err = format.Sign(data, secrets...); err != nil {
			return err
		}
	}
	if path := c.String("report"); path != "" {
		text, err := json.MarshalIndent(r.Report, "", "  ")
		if err != nil {
			return err
		}
		if err := ui.WriteFile(path, append(text, '\n'), 0o666); err != nil {
			return err
		}
		if err := ui.WriteOutput(c.App.Writer, output, data); err != nil {
			return errors.Join(err, os.Remove(path))
		}
	} else if err := ui.WriteOutput(c.App.Writer, output, data); err != nil {
		return err
	}
	if output == ui.Stdio {
		return nil // standard output is the bundle
	}
	summarise(c.App.Writer, r, output, len(data))
	return nil
}

// summarise prints what the patch does, for people.
func summarise(w io.Writer, r *builder.Result, output string, size int) {
	fmt.Fprintf(w, "%s: %s, %s, %s\n", output, r.Manifest.ID, count(len(r.Payloads), "payload"), count(size, "byte"))
	for _, m := range r.Report.Images {
		if len(m.Functions) == 0 {
			continue
		}
		fmt.Fprintf(w, "%s (%s)\n", m.Image.Name, m.Image.BuildID)
		for _, f := range m.Functions {
			fmt.Fprintf(w, "  changed %s (%s): %s\n", f.Name, f.Unit, f.Why)
			if f.Old != "" {
				fmt.Fprintf(w, "    - %s\n    + %s\n", f.Old, f.New)
			}
		}
		for _, u := range m.Unproved {
			fmt.Fprintf(w, "  not proved: %s (%s)\n", strings.Join(u.Functions, ", "), u.Unit)
		}
		for _, n := range m.New {
			fmt.Fprintf(w, "  new %s\n", n)
		}
		for _, h := range m.Hooks {
			fmt.Fprintf(w, "  hook %s %s (%s)\n", h.Stage, h.Name, h.Unit)
		}
		for _, d := range m.Dropped {
			fmt.Fprintf(w, "  not patched: %s (%s): %s\n", d.Name, d.Unit, d.Why)
		}
		summariseImports(w, m.Imports)
	}
	for _, u := range r.Report.Units {
		for _, a := range u.Allowed {
			fmt.Fprintf(w, "  allowed: %s: %s\n", a.Refusal.Error(), a.Reason)
		}
		if len(u.Lines) > 0 {
			fmt.Fprintf(w, "  only line numbers differ (%s): %s\n", u.Name, strings.Join(u.Lines, ", "))
		}
		if len(u.Gone) > 0 && len(u.Images) > 0 {
			fmt.Fprintf(w, "  variables that are no more, and keep their values for a revert (%s): %s\n", u.Name, strings.Join(u.Gone, ", "))
		}
		if len(u.Excluded) > 0 {
			fmt.Fprintf(w, "  excluded by the patch spec (%s): %s\n", u.Name, strings.Join(u.Excluded, ", "))
		}
	}
}

func summariseImports(w io.Writer, imports []builder.ImportReport) {
	kinds := map[format.ImportKind]int{}
	for _, i := range imports {
		kinds[i.Kind]++
		if i.New {
			from := ""
			if i.From != "" {
				from = " of " + i.From
			}
			fmt.Fprintf(w, "  new import %s%s\n", i.Name, from)
		}
	}
	fmt.Fprintf(w, "  %s: %d of the image, %d dynamic, %d thread-local\n", count(len(imports), "import"),
		kinds[format.ImportImage], kinds[format.ImportDynamic], kinds[format.ImportTLS]+kinds[format.ImportDynamicTLS])
}
