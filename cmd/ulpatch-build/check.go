// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/builder"
	"github.com/ulpatch/ulpatch/cmd/internal/ui"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "prove that original objects are what an image was linked from",
		Description: "Every function and variable of the objects is compared with the image, each\n" +
			"relocated field recomputed, as diff does before it patches. Exit code 3:\n" +
			"something differs; 4: none of the objects is in an image.",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "image", Usage: "linked `FILE` as it is shipped; may be repeated"},
			&cli.StringSliceFlag{Name: "debug-image", Usage: "`FILE` with the symbols of a stripped image of the same build-id; may be repeated"},
			&cli.StringFlag{Name: "orig", Usage: "`PATH` of an object, an archive or a tree of these"},
			&cli.BoolFlag{Name: "json", Usage: "for scripts"},
		},
		Action: check,
	}
}

func check(c *cli.Context) error {
	if _, err := ui.Args(c); err != nil {
		return err
	}
	orig, err := ui.Required(c, "orig")
	if err != nil {
		return err
	}
	if len(c.StringSlice("image")) == 0 {
		return ui.Hint(ui.Usagef("--image is missing"), "see "+program+" check --help")
	}
	opts := &builder.Options{}
	files, err := openImages(opts, c.StringSlice("image"), c.StringSlice("debug-image"))
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return refused(c, err)
	}
	proofs, err := builder.Check(opts.Images, orig)
	if err != nil {
		return refused(c, err)
	}
	if c.Bool("json") {
		if err := ui.JSON(c.App.Writer, proofs); err != nil {
			return err
		}
	} else {
		for i := range proofs {
			printProof(c.App.Writer, &proofs[i])
		}
	}
	found := slices.ContainsFunc(proofs, func(p builder.ProofOf) bool { return len(p.Units) > 0 })
	proved := !slices.ContainsFunc(proofs, func(p builder.ProofOf) bool { return !p.Proved() })
	switch {
	case !found:
		return ui.Exit(ui.NoMatch, fmt.Errorf("%s: nothing of it is in the image", orig))
	case !proved:
		return ui.Exit(ui.Refused, errors.New("the objects are not what the image was linked from"))
	}
	return nil
}

// printProof tells of one image, for people.
func printProof(w io.Writer, p *builder.ProofOf) {
	fmt.Fprintf(w, "%s (%s)\n", p.Image.Name, p.Image.BuildID)
	for _, u := range p.Units {
		fmt.Fprintf(w, "  %s: %s\n", u.Unit, outcomes(u.Exact, u.Relaxed, u.Absent, u.Foreign, u.Different))
		if !u.Proved {
			fmt.Fprintf(w, "    first difference: %s\n    likeliest reason: %s\n", u.First, u.Reason)
		}
	}
	t := p.Total
	fmt.Fprintf(w, "  %s: %s\n", count(len(p.Units), "unit"), outcomes(t.Exact, t.Relaxed, t.Absent, t.Foreign, t.Different))
	for _, name := range slices.Sorted(maps.Keys(t.Rewrites)) {
		fmt.Fprintf(w, "  rewritten by the linker: %s: %d\n", name, t.Rewrites[name])
	}
	if len(p.Other) > 0 {
		fmt.Fprintf(w, "  not in the image: %s\n", count(len(p.Other), "object"))
	}
}

func outcomes(exact, relaxed, absent, foreign, different int) string {
	text := fmt.Sprintf("%d exact, %d relaxed, %d absent", exact, relaxed, absent)
	if foreign > 0 {
		text += fmt.Sprintf(", %d of another unit", foreign)
	}
	return text + fmt.Sprintf(", %d different", different)
}
