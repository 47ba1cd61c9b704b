// SPDX-License-Identifier: GPL-2.0-or-later

// Command bench measures: how long a process is stopped for a patch, against
// the bare cost of stopping the same threads, and how fast patches are built.
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == childFlag {
		if err := child(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench: error:", err)
			os.Exit(1)
		}
		return
	}
	threads := flag.String("threads", "1,8,64,256,1000", "numbers of threads to measure the pause with")
	rounds := flag.Int("rounds", 40, "patches applied and reverted for each number")
	only := flag.String("only", "", "pause or diff; both without it")
	flag.Parse()
	if err := run(*threads, *rounds, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

func run(threads string, rounds int, only string) error {
	if only == "" || only == "pause" {
		var counts []int
		for _, s := range strings.Split(threads, ",") {
			n, err := strconv.Atoi(s)
			if err != nil || n < 1 {
				return fmt.Errorf("-threads: %q", s)
			}
			counts = append(counts, n)
		}
		if err := pauses(counts, rounds); err != nil {
			return err
		}
	}
	if only == "" || only == "diff" {
		return diffs()
	}
	return nil
}
