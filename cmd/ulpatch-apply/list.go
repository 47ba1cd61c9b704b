// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/applier"
	"github.com/ulpatch/ulpatch/cmd/internal/ui"
)

func listCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "show the patches in a process, or in all",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "pid", Usage: "the process; all without it"},
			jsonFlag,
		},
		Action: list,
	}
}

func list(c *cli.Context) error {
	if _, err := ui.Args(c); err != nil {
		return err
	}
	var patches []applier.Patch
	var err error
	if c.IsSet("pid") {
		pid, perr := pidOf(c)
		if perr != nil {
			return perr
		}
		patches, err = applier.List(pid)
	} else {
		patches, err = applier.ListAll()
	}
	if c.Bool("json") {
		if patches == nil {
			patches = []applier.Patch{}
		}
		return errors.Join(withCode(err), ui.JSON(c.App.Writer, patches))
	}
	if len(patches) > 0 {
		w := tabwriter.NewWriter(c.App.Writer, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "PID\tPROCESS\tID\tVERSION\tSTATE\tIMAGES\tFUNCTIONS")
		for _, p := range patches {
			var images []string
			for _, t := range p.Images {
				images = append(images, t.Name)
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%d\n", p.PID, ui.Printable(p.Process), ui.Printable(p.ID),
				p.Version, p.State, ui.Printable(strings.Join(images, ",")), functions(p.Images))
		}
		err = errors.Join(err, w.Flush())
	}
	return withCode(err)
}
