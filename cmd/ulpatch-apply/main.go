// SPDX-License-Identifier: GPL-2.0-or-later

// Command ulpatch-apply installs signed patches in running processes and takes
// them back.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier"
	"github.com/ulpatch/ulpatch/cmd/internal/ui"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/keys"
)

// Set by the build: -ldflags "-X main.version=... -X main.commit=...".
var (
	version = "unknown"
	commit  = "unknown"
)

const program = "ulpatch-apply"

func commands() []*cli.Command {
	return []*cli.Command{
		applyCommand(),
		revertCommand(),
		listCommand(),
		recoverCommand(),
		purgeCommand(),
	}
}

func main() { os.Exit(run()) }

func run() int {
	return int(ui.Run(ui.NewApp(program, "apply live patches to running processes, and revert them", version, commit, commands()...), os.Args))
}

var (
	trustFlag   = &cli.StringFlag{Name: "trust", Value: keys.DefaultTrust, Usage: "public key `FILE`, or a directory of *.pub with a policy"}
	jsonFlag    = &cli.BoolFlag{Name: "json", Usage: "print the result as JSON"}
	dryRunFlag  = &cli.BoolFlag{Name: "dry-run", Usage: "check everything and change nothing"}
	verboseFlag = &cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "say what is being done"}
	timeoutFlag = &cli.DurationFlag{Name: "timeout", Value: applier.DefaultTimeout, Usage: "how long to try while threads are inside what changes"}
	hookFlag    = &cli.DurationFlag{Name: "hook-timeout", Value: applier.DefaultHookTimeout, Usage: "how long to wait for each hook of a patch"}
	pauseFlag   = &cli.DurationFlag{Name: "pause-budget", Value: applier.DefaultPause, Usage: "how long the process may be stopped in each try"}
)

// options reads the flags that operations share.
func options(c *cli.Context) (applier.Options, error) {
	for _, f := range []string{"timeout", "pause-budget", "hook-timeout"} {
		if c.Duration(f) <= 0 {
			return applier.Options{}, ui.Usagef("--%s: %v is not a time to wait", f, c.Duration(f))
		}
	}
	return applier.Options{
		Timeout: c.Duration("timeout"), Pause: c.Duration("pause-budget"), DryRun: c.Bool("dry-run"),
		HookTimeout: c.Duration("hook-timeout"),
		Cancel:      interrupted(),
		Log:         logger(c),
	}, nil
}

// interrupted is closed with the first signal that asks the program to end: it
// then tidies up in the process before it does. The second one ends it at once,
// which harms nothing either.
func interrupted() <-chan struct{} {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	context.AfterFunc(ctx, stop)
	return ctx.Done()
}

func logger(c *cli.Context) *slog.Logger {
	return ui.Logger(c.App.ErrWriter, program, c.Bool("verbose"))
}

// pidOf reads --pid.
func pidOf(c *cli.Context) (int, error) {
	if !c.IsSet("pid") {
		return 0, ui.Hint(ui.Usagef("--pid is missing"), fmt.Sprintf("see %s %s --help", program, c.Command.Name))
	}
	pid := c.Int("pid")
	if pid <= 0 {
		return 0, ui.Usagef("--pid: %d is no process", pid)
	}
	return pid, nil
}

// outcome is what --json prints of an operation, also of one that failed.
type outcome struct {
	*applier.Result
	Error string `json:"error,omitempty"`
	// Process is what became of it: untouched, restored or unknown.
	Process string `json:"process,omitempty"`
}

// finish prints a result, or, with --json, what went wrong, and gives the error
// its exit code.
func finish(c *cli.Context, id string, pid int, r *applier.Result, err error, print func()) error {
	err = withCode(err)
	if !c.Bool("json") {
		if err == nil {
			print()
		}
		return err
	}
	out := outcome{Result: r}
	if err != nil {
		out.Result = &applier.Result{ID: id, PID: pid, Status: statusOf(err)}
		out.Error = err.Error()
		var aerr *applier.Error
		if errors.As(err, &aerr) {
			out.Process = string(aerr.State)
		}
	}
	return errors.Join(err, ui.JSON(c.App.Writer, out))
}

func statusOf(err error) applier.Status {
	var aerr *applier.Error
	switch {
	case errors.As(err, &aerr) && aerr.State == applier.Unknown:
		return "unknown"
	case errors.Is(err, applier.ErrBusy):
		return "busy"
	case errors.Is(err, applier.ErrNoMatch):
		return "nothing to do"
	case ui.CodeOf(err) == ui.Refused:
		return "refused"
	}
	return "failed"
}

func withCode(err error) error {
	var aerr *applier.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &aerr) && aerr.State == applier.Unknown:
		return ui.Exit(ui.Unknown, err)
	case errors.Is(err, applier.ErrNoMatch):
		return ui.Exit(ui.NoMatch, err)
	case errors.Is(err, applier.ErrRefused):
		return ui.Exit(ui.Refused, err)
	case errors.Is(err, format.ErrEnvelope), errors.Is(err, format.ErrVersion), errors.Is(err, format.ErrManifest),
		errors.Is(err, format.ErrFeature), errors.Is(err, format.ErrDecompress), errors.Is(err, format.ErrBody):
		return ui.Exit(ui.Refused, err)
	}
	return err
}
