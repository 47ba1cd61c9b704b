// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/applier"
	"github.com/ulpatch/ulpatch/cmd/internal/ui"
)

func recoverCommand() *cli.Command {
	return &cli.Command{
		Name:  "recover",
		Usage: "finish what was interrupted when the tool was killed",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "pid", Usage: "the process"},
			timeoutFlag, pauseFlag, hookFlag, dryRunFlag, jsonFlag, verboseFlag,
		},
		Action: func(c *cli.Context) error {
			return onProcess(c, applier.Recover, func(r *applier.Result) {
				fmt.Fprintf(c.App.Writer, "process %d: %s: %s\n", r.PID, r.Status, count(len(r.Images), "image"))
				printHooks(c.App.Writer, r.Hooks)
			})
		},
	}
}

func purgeCommand() *cli.Command {
	return &cli.Command{
		Name:  "purge",
		Usage: "free the memory of reverted patches that nothing refers to any more",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "pid", Usage: "the process"},
			timeoutFlag, pauseFlag, hookFlag, dryRunFlag, jsonFlag, verboseFlag,
		},
		Action: func(c *cli.Context) error {
			return onProcess(c, applier.Purge, func(r *applier.Result) {
				for _, t := range r.Images {
					fmt.Fprintf(c.App.Writer, "process %d: %s: %d bytes at %s freed\n", r.PID, t.Name, t.Size, t.Base)
				}
				for _, k := range r.Kept {
					fmt.Fprintf(c.App.Writer, "process %d: %s stays in memory: %s\n", r.PID, k.ID, k.Why)
				}
			})
		},
	}
}

// onProcess runs a command that takes a process and nothing else.
func onProcess(c *cli.Context, f func(int, applier.Options) (*applier.Result, error), print func(*applier.Result)) error {
	if _, err := ui.Args(c); err != nil {
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
	result, err := f(pid, opts)
	return finish(c, "", pid, result, err, func() { print(result) })
}
