// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/applier"
	"github.com/ulpatch/ulpatch/cmd/internal/ui"
)

func revertCommand() *cli.Command {
	return &cli.Command{
		Name:      "revert",
		Usage:     "take a patch out of a running process",
		ArgsUsage: "ID | --all",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "pid", Usage: "the process"},
			&cli.BoolFlag{Name: "all", Usage: "all patches"},
			timeoutFlag, pauseFlag, hookFlag, dryRunFlag, jsonFlag, verboseFlag,
		},
		Action: revert,
	}
}

func revert(c *cli.Context) error {
	var id string
	switch {
	case !c.Bool("all"):
		args, err := ui.Args(c, "ID")
		if err != nil {
			return err
		}
		if id = args[0]; id == "" {
			return ui.Usagef("ID is empty")
		}
	case c.Args().Present():
		return ui.Usagef("either %q or --all", c.Args().First())
	}
	pid, err := pidOf(c)
	if err != nil {
		return err
	}
	opts, err := options(c)
	if err != nil {
		return err
	}
	progress := ui.NewProgress(c.App.ErrWriter, program)
	progress.Set("reverting in process %d", pid)
	opts.Busy = func(try int, reason error) {
		progress.Set("reverting in process %d: try %d: %.60v", pid, try, reason)
	}
	result, err := applier.Revert(pid, id, opts)
	progress.Close()
	return finish(c, id, pid, result, err, func() {
		what := id
		if what == "" {
			what = "all patches"
		}
		if result.Status == applier.WouldRevert {
			fmt.Fprintf(c.App.Writer, "%s would be reverted in process %d\n", what, pid)
		} else {
			fmt.Fprintf(c.App.Writer, "%s reverted in process %d, stopped for %s\n", what, pid, short(result.Pause))
		}
		printTargets(c.App.Writer, result)
	})
}
