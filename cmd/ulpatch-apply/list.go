// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/applier"
	"github.com/ulpatch/ulpatch/cmd/internal/ui"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/keys"
)

func listCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "show the patches in a process, or in all",
		Description: "Active patches that are revoked, by the lists in the trust directory, are marked.\n" +
			"They are not removed: revert does that.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "pid", Usage: "the process; all without it"},
			trustFlag, jsonFlag,
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
	shown, rerr := mark(c, patches)
	err = errors.Join(withCode(err), rerr)
	if c.Bool("json") {
		return errors.Join(err, ui.JSON(c.App.Writer, shown))
	}
	return errors.Join(err, printPatches(c, shown))
}

// listed is a patch with what the host's trust says of it now.
type listed struct {
	applier.Patch
	Revoked string `json:"revoked,omitempty"` // why
}

// mark says which active patches are revoked. A host without a trust directory
// revokes nothing; one that cannot be read is an error, and the patches are shown.
func mark(c *cli.Context, patches []applier.Patch) ([]listed, error) {
	if _, err := os.Stat(keys.DefaultTrust); errors.Is(err, fs.ErrNotExist) && !c.IsSet("trust") {
		return markRevoked(patches, format.Revoked{}), nil
	}
	trusted, err := keys.LoadTrust(c.String("trust"))
	return markRevoked(patches, trusted.Revoked()), err
}

func markRevoked(patches []applier.Patch, revoked format.Revoked) []listed {
	shown := make([]listed, len(patches))
	for i, p := range patches {
		shown[i] = listed{Patch: p}
		var payloads []string
		for _, t := range p.Images {
			payloads = append(payloads, t.Bundle)
		}
		if reason, is := revoked.Bundle(p.ID, p.Version, payloads...); is && p.State == applier.Active.String() {
			shown[i].Revoked = reason
		}
	}
	return shown
}

func printPatches(c *cli.Context, patches []listed) error {
	if len(patches) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(c.App.Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "PID\tPROCESS\tID\tVERSION\tSTATE\tIMAGES\tFUNCTIONS")
	for _, p := range patches {
		var images []string
		for _, t := range p.Images {
			images = append(images, t.Name)
		}
		state := p.State
		if p.Revoked != "" {
			state += " (revoked)"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%d\n", p.PID, ui.Printable(p.Process), ui.Printable(p.ID),
			p.Version, state, ui.Printable(strings.Join(images, ",")), functions(p.Images))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range patches {
		if p.Revoked == "" {
			continue
		}
		ui.Warnf(c.App.ErrWriter, program, "process %d: %s version %d is revoked: %s", p.PID, p.ID, p.Version, p.Revoked)
		// The name is what the process says; a shell must not be given any other.
		if format.CheckID(p.ID) == nil {
			ui.Hintf(c.App.ErrWriter, program, "%s revert --pid %d %s takes it out", program, p.PID, p.ID)
		}
	}
	return nil
}
