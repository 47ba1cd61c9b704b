// SPDX-License-Identifier: GPL-2.0-or-later

// Command ulpatch-build makes patches for running programs: signed bundles.
package main

import (
	"os"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
)

// Set by the build: -ldflags "-X main.version=... -X main.commit=...".
var (
	version = "unknown"
	commit  = "unknown"
)

const program = "ulpatch-build"

// commands are in the order in which somebody meets them; each has a file of
// its own.
func commands() []*cli.Command {
	return []*cli.Command{
		keygenCommand(),
		checkCommand(),
		cflagsCommand(),
		diffCommand(),
		inspectCommand(),
		verifyCommand(),
		extractCommand(),
		mergeCommand(),
		signCommand(),
		digestCommand(),
		attachCommand(),
	}
}

func main() { os.Exit(run()) }

func run() int {
	ui.RemoveOnSignal()
	return int(ui.Run(ui.NewApp(program, "make live patches for user-space programs", version, commit, commands()...), os.Args))
}
