// SPDX-License-Identifier: GPL-2.0-or-later

// Command vm runs a program under a real kernel of another CPU, in QEMU:
//
//	go run ./cmd/vm -cpu arm64 PROGRAM [FILE[=NAME]...] [-- ARGUMENT...]
//
// PROGRAM is a file of the host for that CPU, static or dynamic: its interpreter
// and its libraries are taken from the cross compiler's. FILEs, folders too, are
// put beside it in the machine's /run/vm, or under NAME, relative to that folder
// or absolute. PROGRAM runs in that folder, or in that of -dir, as root, with a
// loopback network and nothing else: there is no shell. What it writes is this
// program's output, and its exit status, this program's. 125 says that there is
// none: the machine did not boot, time was up, or output has been lost; the reason
// is on standard error.
//
//	CGO_ENABLED=0 GOARCH=arm64 go test -c -o /tmp/x.test ./some/package
//	go run ./cmd/vm -cpu arm64 /tmp/x.test -- -test.v
//
// The kernel is fetched once from the Debian mirror that the machine itself uses,
// and kept in ulpatch/vm of the user's cache; `make setup-vm` installs the rest.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ulpatch/ulpatch/cmd/internal/vm"
)

// failed is the exit status where the program has none.
const failed = 125

// home is the folder of the program in the machine.
const home = "/run/vm"

type environment []string

func (e *environment) String() string { return strings.Join(*e, " ") }

func (e *environment) Set(v string) error {
	if !strings.Contains(v, "=") {
		return fmt.Errorf("%q is no NAME=VALUE", v)
	}
	*e = append(*e, v)
	return nil
}

func main() {
	m := vm.Machine{Output: os.Stdout, Log: os.Stderr}
	var env environment
	cpu := flag.String("cpu", "arm64", "as GOARCH has it: "+strings.Join(vm.Names(), ", "))
	flag.IntVar(&m.Memory, "mem", 1024, "memory in MiB")
	flag.IntVar(&m.Count, "smp", 2, "processors")
	flag.DurationVar(&m.Timeout, "timeout", 10*time.Minute, "for all of it; 0: none")
	flag.BoolVar(&m.Verbose, "verbose", false, "let the kernel tell what it does")
	dir := flag.String("dir", "", "working directory in the machine")
	flag.Var(&env, "env", "NAME=VALUE for the program; may be repeated")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status, err := run(ctx, m, *cpu, *dir, env, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm: error:", err)
		status = failed
	}
	os.Exit(status)
}

func run(ctx context.Context, m vm.Machine, name, dir string, env, args []string) (int, error) {
	cpu, err := vm.ByName(name)
	if err != nil {
		return 0, err
	}
	m.CPU = cpu
	files, arguments := args, []string(nil)
	if i := slices.Index(args, "--"); i >= 0 {
		files, arguments = args[:i], args[i+1:]
	}
	if len(files) == 0 {
		return 0, fmt.Errorf("no program: say which")
	}
	p := vm.Program{Job: vm.Job{Env: env, Dir: inside(dir)}}
	for _, f := range files {
		source, to, ok := strings.Cut(f, "=")
		if !ok {
			to = filepath.Base(source)
		}
		p.Files = append(p.Files, [2]string{source, inside(to)})
	}
	p.Job.Args = append([]string{p.Files[0][1]}, arguments...)
	return m.Run(ctx, p)
}

// inside is where a name is in the machine.
func inside(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(home, name)
}
