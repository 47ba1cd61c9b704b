// SPDX-License-Identifier: GPL-2.0-or-later

// Command torture patches and reverts a program that checks itself, many times,
// while its threads hammer the patched function, signals arrive and the tool is
// killed at random. It counts what went wrong; all of that must be zero.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == toolMode {
		os.Exit(tool(os.Args[2:]))
	}
	var c config
	flag.IntVar(&c.cycles, "n", 300, "cycles of apply and revert")
	flag.IntVar(&c.kills, "kills", 100, "how many of the operations are killed")
	flag.IntVar(&c.threads, "threads", 16, "threads that hammer the patched function")
	flag.DurationVar(&c.limit, "for", 0, "end after this time, cycles done or not")
	flag.Int64Var(&c.seed, "seed", time.Now().UnixNano(), "of the random numbers")
	flag.Parse()
	t, err := run(c)
	t.print(os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture: error:", err)
		os.Exit(1)
	}
	if !t.clean() {
		os.Exit(1)
	}
}
