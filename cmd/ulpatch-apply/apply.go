// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/applier"
	"github.com/ulpatch/ulpatch/cmd/internal/ui"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/keys"
)

func applyCommand() *cli.Command {
	return &cli.Command{
		Name:      "apply",
		Usage:     "install a patch in a running process",
		ArgsUsage: "BUNDLE",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "pid", Usage: "the process"},
			trustFlag,
			&cli.BoolFlag{Name: "allow-downgrade", Usage: "take the place of a newer version of the patch"},
			timeoutFlag, pauseFlag, hookFlag, dryRunFlag, jsonFlag, verboseFlag,
		},
		Action: apply,
	}
}

func apply(c *cli.Context) error {
	args, err := ui.Args(c, "BUNDLE")
	if err != nil {
		return err
	}
	pid, err := pidOf(c)
	if err != nil {
		return err
	}
	opts, err := options(c)
	if err != nil {
		return err
	}
	opts.AllowDowngrade = c.Bool("allow-downgrade")
	var result *applier.Result
	id := ""
	err = withBundle(args[0], c.String("trust"), func(b *format.Bundle) error {
		id = b.Manifest.ID
		if slices.Contains(b.Manifest.Critical, format.FeatureUnproved) {
			ui.Warnf(c.App.ErrWriter, program, "%s: the image is not proved to have been linked from the objects that the patch was made from", id)
		}
		progress := ui.NewProgress(c.App.ErrWriter, program)
		defer progress.Close()
		progress.Set("applying %s to process %d", id, pid)
		opts.Busy = func(try int, reason error) {
			progress.Set("applying %s to process %d: try %d: %.60v", id, pid, try, reason)
		}
		result, err = applier.Apply(pid, b, opts)
		return err
	})
	return finish(c, id, pid, result, err, func() { printApplied(c.App.Writer, result) })
}

// withBundle opens and verifies a bundle; "-" is standard input.
func withBundle(path, trust string, use func(*format.Bundle) error) error {
	if trust == "" {
		return ui.Usagef("--trust is empty")
	}
	trusted, err := keys.LoadTrust(trust)
	if err != nil {
		return err
	}
	f, err := ui.OpenInput(path, format.MaxSize)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := format.Open(f, f.Size, trusted)
	if err != nil {
		return fmt.Errorf("%s: %w", ui.Named(path), err)
	}
	return use(b)
}

func printApplied(w io.Writer, r *applier.Result) {
	switch r.Status {
	case applier.AlreadyApplied:
		fmt.Fprintf(w, "%s is already applied to process %d\n", r.ID, r.PID)
	case applier.WouldApply:
		fmt.Fprintf(w, "%s would be applied to process %d\n", r.ID, r.PID)
	default:
		fmt.Fprintf(w, "%s applied to process %d: %s in %s, stopped for %s\n",
			r.ID, r.PID, count(functions(r.Images), "function"), count(len(r.Images), "image"), short(r.Pause))
	}
	printTargets(w, r)
}

func printTargets(w io.Writer, r *applier.Result) {
	for _, t := range r.Images {
		fmt.Fprintf(w, "  %s (build-id %.12s): %s\n", t.Name, t.BuildID, few(t.Functions))
	}
	printHooks(w, r.Hooks)
}

func printHooks(w io.Writer, hooks []applier.HookCall) {
	for _, h := range hooks {
		what := "would be called"
		if h.Called {
			what = fmt.Sprintf("returned %d", h.Value)
		}
		fmt.Fprintf(w, "  %s hook %s of %s: %s\n", h.Stage, ui.Printable(h.Name), h.Patch, what)
	}
}

// few joins names; of many, the first.
func few(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func functions(images []applier.Target) int {
	n := 0
	for _, t := range images {
		n += len(t.Functions)
	}
	return n
}

func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func short(d time.Duration) string { return d.Round(time.Microsecond).String() }
