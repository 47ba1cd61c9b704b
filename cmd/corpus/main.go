// SPDX-License-Identifier: GPL-2.0-or-later

// Command corpus patches real programs with real fixes. For each case of a
// corpus of object pairs it makes a bundle, starts the images that it is for,
// applies the bundle while they serve, takes it back, and wants them to answer
// rightly all the time and to end as they should.
//
// It is a tool of the developers and is not installed. A refusal with a reason
// counts as right; a process that dies or misbehaves is HARM. The exit status
// is 1 where there was any harm or failure.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

type options struct {
	corpus, bin             string
	prepare, cross          string
	only, flavour, json     string
	keep, startOnly         bool
	parallel                int
	applyTimeout, caseLimit time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "`DIR` of ulpatch-build and ulpatch-apply")
	flag.StringVar(&o.prepare, "prepare", "", "only make the bundles, and put all that another machine needs into `DIR`, to be its corpus")
	flag.StringVar(&o.cross, "cross", "", "`PREFIX` of the names of the compiler and of strip, as in aarch64-linux-gnu-")
	flag.StringVar(&o.only, "only", "", "only this `PACKAGE[/CASE]`")
	flag.StringVar(&o.flavour, "flavour", "all", "`sections`, plain, clang or all: how the objects were compiled")
	flag.StringVar(&o.json, "json", "", "write the results to `FILE`")
	flag.BoolVar(&o.keep, "keep", false, "keep the scratch folder, with bundles and logs")
	flag.BoolVar(&o.startOnly, "n", false, "only start, probe and end the images; nothing is built or patched")
	flag.IntVar(&o.parallel, "parallel", 1, "cases at once, 1 or 2")
	flag.IntVar(&patience, "patience", patience, "`FACTOR` of all limits of time for answers, for a slow machine")
	flag.DurationVar(&o.applyTimeout, "timeout", 10*time.Second, "how long an apply or a revert may wait for a quiet moment")
	flag.DurationVar(&o.caseLimit, "limit", 4*time.Minute, "how long a case may take")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "corpus [flags] DIR: DIR holds *.tar.zst, or pairs/ unpacked, or what -prepare made")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 || o.parallel < 1 || o.parallel > 2 || patience < 1 || !slices.Contains([]string{sections, plain, clang, "all"}, o.flavour) {
		flag.Usage()
		os.Exit(2)
	}
	var err error
	if o.corpus, err = filepath.Abs(flag.Arg(0)); err != nil {
		fmt.Fprintf(os.Stderr, "corpus: error: %v\n", err)
		os.Exit(1)
	}

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	sum, err := o.runAll(ctx)
	cancel()
	if err != nil {
		fmt.Fprintf(os.Stderr, "corpus: error: %v\n", err)
		os.Exit(1)
	}
	if sum.harm+sum.failed > 0 {
		os.Exit(1)
	}
}

func (o options) runAll(ctx context.Context) (sum total, err error) {
	scratch, err := os.MkdirTemp("", "ulpatch-corpus-")
	if err != nil {
		return sum, err
	}
	if o.keep {
		fmt.Println("kept:", scratch)
	} else {
		defer os.RemoveAll(scratch)
	}
	s, err := o.shared(ctx, scratch)
	if err != nil {
		return sum, err
	}
	unpacked := filepath.Join(scratch, "pairs")
	if err := os.Mkdir(unpacked, 0o755); err != nil {
		return sum, err
	}
	pairs, err := openCorpus(o.corpus, unpacked, o.only)
	if err != nil {
		return sum, err
	}
	cases, err := findCases(pairs, o.flavour, o.only)
	if err != nil {
		return sum, err
	}

	results := make([]result, len(cases))
	var output sync.Mutex
	var group sync.WaitGroup
	slots := make(chan struct{}, o.parallel)
	for i, c := range cases {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() {
			defer func() { <-slots }()
			limited, cancel := context.WithTimeout(ctx, o.caseLimit)
			defer cancel()
			if o.prepare != "" {
				results[i] = prepare(limited, s, c, o.prepare)
			} else {
				results[i] = run(limited, s, c, o.startOnly)
			}
			output.Lock()
			defer output.Unlock()
			printRow(os.Stdout, results[i])
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return sum, ctx.Err()
	}
	sum = printTotals(os.Stdout, results)
	if o.json != "" {
		err = writeJSON(o.json, results)
	}
	return sum, err
}

// shared names what all cases share, and makes the signing key.
func (o options) shared(ctx context.Context, scratch string) (*shared, error) {
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return nil, err
	}
	s := &shared{
		bin: bin, scratch: scratch, hosts: scratch, cross: o.cross, timeout: o.applyTimeout,
		key: filepath.Join(scratch, "ci.key"), trust: filepath.Join(scratch, "ci.pub"),
	}
	if trust := filepath.Join(o.corpus, preparedKey); exists(trust) {
		s.trust, s.key = trust, ""
		s.hosts, err = filepath.Abs(filepath.Join(o.corpus, "hosts"))
		return s, err
	}
	if o.startOnly {
		return s, nil
	}
	keygen := exec.CommandContext(ctx, filepath.Join(bin, "ulpatch-build"), "keygen", "-o", filepath.Join(scratch, "ci"), "--no-password")
	if output, err := keygen.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("keygen: %w: %s", err, strings.TrimSpace(string(output)))
	}
	if o.prepare == "" {
		return s, nil
	}
	s.hosts = filepath.Join(o.prepare, "hosts")
	if err := os.MkdirAll(o.prepare, 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.hosts, 0o755); err != nil { // bundles of an earlier key may be there
		return nil, err
	}
	public, err := os.ReadFile(s.trust)
	if err != nil {
		return nil, err
	}
	return s, os.WriteFile(filepath.Join(o.prepare, preparedKey), public, 0o644)
}
