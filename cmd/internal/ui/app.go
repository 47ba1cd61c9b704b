// SPDX-License-Identifier: GPL-2.0-or-later

package ui

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// NewApp is a program of one level of commands. Flags may stand before and
// after arguments. version and commit are what the build was told.
func NewApp(name, usage, version, commit string, commands ...*cli.Command) *cli.App {
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}
	cli.VersionPrinter = func(c *cli.Context) {
		fmt.Fprintf(c.App.Writer, "%s %s (commit %s)\n", name, version, commit)
	}
	for _, command := range commands {
		command.HideHelpCommand = true
		command.OnUsageError = usageError
	}
	return &cli.App{
		Name: name, Usage: usage, Version: version, Commands: commands,
		HideHelpCommand: true,
		OnUsageError:    usageError,
		ExitErrHandler:  func(*cli.Context, error) {}, // Run decides
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return seeHelp(name, Usagef("unknown command %q", c.Args().First()))
			}
			return seeHelp(name, Usagef("no command"))
		},
	}
}

func usageError(c *cli.Context, err error, isSubcommand bool) error {
	text := strings.Replace(err.Error(), "flag provided but not defined: ", "unknown flag ", 1)
	name := c.App.Name
	if isSubcommand {
		name += " " + c.Command.Name
	}
	return seeHelp(name, Usagef("%s", text))
}

func seeHelp(name string, err error) error { return Hint(err, "see "+name+" --help") }

// Args are the arguments of a command, of which there must be as many as names.
func Args(c *cli.Context, names ...string) ([]string, error) {
	args := c.Args().Slice()
	help := c.App.Name + " " + c.Command.Name
	if len(args) < len(names) {
		return nil, seeHelp(help, Usagef("%s is missing", names[len(args)]))
	}
	if len(args) > len(names) {
		return nil, seeHelp(help, Usagef("unexpected argument %q", args[len(names)]))
	}
	return args, nil
}

// Required is the value of a string flag that has to be given; of one that may
// be repeated, the first.
func Required(c *cli.Context, flag string) (string, error) {
	if many, ok := c.Value(flag).(cli.StringSlice); ok {
		if v := many.Value(); len(v) > 0 && v[0] != "" {
			return v[0], nil
		}
	} else if v := c.String(flag); v != "" {
		return v, nil
	}
	dashes := "--"
	if len(flag) == 1 {
		dashes = "-"
	}
	return "", seeHelp(c.App.Name+" "+c.Command.Name, Usagef("%s%s is missing", dashes, flag))
}

// Run runs the program and returns its exit code; everything that went wrong
// has been printed. args are those of the process, with its name.
func Run(app *cli.App, args []string) Code {
	out := &results{w: app.Writer}
	if app.Writer == nil {
		out.w = os.Stdout
	}
	app.Writer = out
	if app.ErrWriter == nil {
		app.ErrWriter = os.Stderr
	}
	err := app.Run(flagsFirst(app, args))
	if err == nil && out.err != nil {
		err = fmt.Errorf("standard output: %w", out.err)
	}
	if err != nil {
		Report(app.ErrWriter, app.Name, err)
	}
	return CodeOf(err)
}

// results remembers that writing failed, for nobody looks at what Fprintf
// returns: results that were cut short are not a success.
type results struct {
	w   io.Writer
	err error
}

func (r *results) Write(p []byte) (int, error) {
	n, err := r.w.Write(p)
	r.err = errors.Join(r.err, err)
	return n, err
}

// flagsFirst puts a command's flags before its arguments, as the flag parser
// wants them. What it does not understand is left for the parser to refuse.
func flagsFirst(app *cli.App, args []string) []string {
	if len(args) < 2 {
		return args
	}
	command := app.Command(args[1])
	if command == nil {
		return args
	}
	takesValue := map[string]bool{}
	for _, f := range command.Flags {
		if _, ok := f.(*cli.BoolFlag); !ok {
			for _, name := range f.Names() {
				takesValue[name] = true
			}
		}
	}
	var flags, rest []string
	for i := 2; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			rest = append(rest, arg)
			continue
		}
		flags = append(flags, arg)
		if takesValue[strings.TrimLeft(arg, "-")] && i+1 < len(args) {
			i++
			flags = append(flags, args[i])
		}
	}
	ordered := append([]string{args[0], args[1]}, flags...)
	if len(rest) > 0 {
		ordered = append(append(ordered, "--"), rest...)
	}
	return ordered
}

// RemoveOnSignal removes temporary files when a signal ends the program, which
// it then does. It is for programs that have nothing else to tidy up.
func RemoveOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	go func() {
		s := <-signals
		removePending()
		signal.Reset(s)
		_ = unix.Kill(unix.Getpid(), s.(unix.Signal))
	}()
}
