// SPDX-License-Identifier: GPL-2.0-or-later

// Command qemu patches QEMU as it ships, with the fixes that its own stable
// releases brought, while a guest in it works. It boots a guest that writes and
// reads disks, talks to the host and checks every byte; applies and reverts the
// fixes one after another and all together; puts a coroutine to sleep inside what
// is patched; shows of some fixes that they act; and, in the long form, patches
// for hours and kills the tool in between.
//
// It is a tool of the developers and is not installed. The exit status is 1 where
// the guest was harmed or something did not go as it should.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
)

type options struct {
	bin, report string
	long, keep  bool
	only, some  string
	cycles      int
	timeout     time.Duration
	memory      int
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "`DIR` of ulpatch-build and ulpatch-apply")
	flag.StringVar(&o.report, "report", "", "write the tables to `FILE`, too")
	flag.BoolVar(&o.long, "long", false, "all of it: also a guest with much memory, and the long soak")
	flag.BoolVar(&o.keep, "keep", false, "keep the scratch folder, with bundles, disks and logs")
	flag.StringVar(&o.only, "only", "", "only these `STEPS`, separated by commas: "+strings.Join(stepNames(), ", "))
	flag.StringVar(&o.some, "fixes", "", "alone and stacked: only these `FIXES`, separated by commas")
	flag.IntVar(&o.cycles, "cycles", 0, "of the soak (default 10, or 1000 with -long)")
	flag.DurationVar(&o.timeout, "timeout", time.Minute, "how long an apply may wait for a quiet moment")
	flag.IntVar(&o.memory, "memory", 512, "of the guest, in `MiB`")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "qemu [flags] DIR: DIR holds qemu-plain.tar.zst, or pairs/plain/qemu unpacked")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 || o.timeout <= 0 {
		flag.Usage()
		os.Exit(2)
	}
	if o.cycles == 0 {
		o.cycles = 10
		if o.long {
			o.cycles = 1000
		}
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := o.run(ctx, flag.Arg(0))
	cancel()
	if err != nil {
		fmt.Fprintf(os.Stderr, "qemu: error: %v\n", err)
		os.Exit(1)
	}
}

// run is a run of this program.
type run struct {
	options
	tools   *tools
	kit     *kit
	fixes   []*fix
	guest   *guest
	scratch string
	out     io.Writer
	started time.Time
}

// step is a part of a run on the guest.
type step struct {
	name string
	long bool // in the long form only
	do   func(*run, context.Context) error
}

var steps = []step{
	{"alone", false, (*run).alone},
	{"stacked", false, (*run).stacked},
	{"inside", false, (*run).inside},
	{"act", false, (*run).act},
	{"survive", true, (*run).survive},
	{"memory", true, (*run).compareMemory},
	{"soak", false, (*run).soak},
}

func stepNames() []string {
	var names []string
	for _, s := range steps {
		names = append(names, s.name)
	}
	return names
}

func (o options) run(ctx context.Context, corpus string) (err error) {
	r := &run{options: o, out: os.Stdout, started: time.Now()}
	if r.scratch, err = os.MkdirTemp("", "ulpatch-qemu-"); err != nil {
		return err
	}
	if o.keep {
		fmt.Println("kept:", r.scratch)
	} else {
		defer os.RemoveAll(r.scratch)
	}
	if o.report != "" {
		f, err := os.Create(o.report)
		if err != nil {
			return err
		}
		defer f.Close()
		r.out = io.MultiWriter(os.Stdout, f)
	}
	if err := r.prepare(ctx, corpus); err != nil {
		return err
	}
	r.progress("booting a guest with %d MiB", o.memory)
	if r.guest, err = r.kit.boot(ctx, "guest", o.memory); err != nil {
		return err
	}
	err = r.all(ctx)
	printTable(r.out, r.fixes)
	if err != nil {
		err = fmt.Errorf("%w; the console says: %s", err, r.guest.lastWords())
		r.guest.kill()
		return err
	}
	return r.finish(ctx)
}

func (r *run) bundles() string { return filepath.Join(r.scratch, "bundles") }

// prepare makes a key and what the guest is booted from.
func (r *run) prepare(ctx context.Context, corpus string) error {
	dir, err := openCorpus(corpus, r.scratch)
	if err != nil {
		return err
	}
	if r.fixes, err = findFixes(dir); err != nil {
		return err
	}
	if r.tools, err = newTools(ctx, r.bin, r.scratch, r.timeout); err != nil {
		return err
	}
	if err := os.Mkdir(r.bundles(), 0o755); err != nil {
		return err
	}
	r.kit, err = newKit(ctx, r.fixes[0].image(), r.scratch)
	return err
}

// all runs the steps.
func (r *run) all(ctx context.Context) error {
	if err := r.idle(); err != nil {
		return err
	}
	for _, s := range steps {
		chosen := !s.long || r.long
		if r.only != "" {
			chosen = strings.Contains(","+r.only+",", ","+s.name+",")
		}
		if !chosen {
			continue
		}
		if err := s.do(r, ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// idle tells what the guest does and how long it stalls when nobody patches it.
func (r *run) idle() error {
	const measured = 10 * time.Second
	if _, err := r.guest.mark(); err != nil {
		return err
	}
	time.Sleep(measured)
	c, err := r.guest.mark()
	if err != nil {
		return err
	}
	r.say("load, nobody patching, %v: %d disk requests, %d MiB; %d messages, %d MiB; longest stall %.1f ms, disk %.1f ms, network %.1f ms",
		measured, c.DiskOps, c.DiskBytes>>20, c.NetOps, c.NetBytes>>20, float64(c.StallUS)/1e3, float64(c.DiskUS)/1e3, float64(c.NetUS)/1e3)
	return nil
}

// purgePause is how long the guest may be stopped to free what reverts have left:
// all memory that may refer to it is searched under the stop.
const purgePause = 30 * time.Second

// tidy frees what reverts have left. What something in QEMU seems to refer to stays,
// and has to be named; anything else that stays is a leak.
func (r *run) tidy(ctx context.Context) error {
	r.progress("purging")
	if _, err := r.guest.mark(); err != nil {
		return err
	}
	kept, err := r.purged(ctx)
	if err != nil {
		return err
	}
	c, err := r.guest.mark()
	if err != nil {
		return err
	}
	r.say("purged: in QEMU's memory are left %d patches%s; the guest's longest stall %.1f ms", len(kept), reasons(kept), float64(c.StallUS)/1e3)
	return nil
}

// purged frees what reverts have left, and returns what has to stay.
func (r *run) purged(ctx context.Context) (kept []kept, err error) {
	a, err := r.tools.purge(ctx, r.guest.pid(), purgePause)
	if err != nil {
		return nil, err
	}
	if a.exit != ui.Done && a.exit != ui.NoMatch {
		return nil, a.failure()
	}
	left, err := leftBehind(r.guest.pid())
	if err == nil && len(left) > 0 && len(a.Kept) == 0 {
		err = fmt.Errorf("left behind: %v", left)
	}
	for _, k := range a.Kept {
		if !strings.Contains(k.Why, "refers to") {
			err = errors.Join(err, fmt.Errorf("left behind: %s: %s", k.ID, k.Why))
			break
		}
	}
	return a.Kept, err
}

func reasons(kept []kept) string {
	const most = 5
	text := ""
	for _, k := range kept[:min(len(kept), most)] {
		text += fmt.Sprintf("; %s: %s", k.ID, k.Why)
	}
	return text
}

// finish has the guest verify its data a last time, ends QEMU and checks what it
// has left of the disks.
func (r *run) finish(ctx context.Context) error {
	c, err := r.guest.verify()
	if err != nil {
		return errors.Join(err, r.guest.quit(ctx))
	}
	r.say("guest: %d disk requests, %d MiB; %d messages, %d MiB; %d errors; all data read back as it was written",
		c.DiskOps, c.DiskBytes>>20, c.NetOps, c.NetBytes>>20, c.Errors)
	return r.guest.quit(ctx)
}

// say writes a line of the report.
func (r *run) say(format string, args ...any) { fmt.Fprintf(r.out, format+"\n", args...) }

// progress tells what goes on.
func (r *run) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%8s  %s\n", time.Since(r.started).Round(time.Second), fmt.Sprintf(format, args...))
}

// row tells how a fix went.
func (r *run) row(w row) {
	a := w.Alone
	fmt.Fprintf(os.Stderr, "%8s  %s: %s %s, %d tries, pause %.1f ms, search %.0f ms, stall %.1f ms\n", "", w.Fix, a.Outcome, a.Reason,
		a.Apply.Tries, a.Apply.PauseUS/1e3, a.Apply.SearchUS/1e3, float64(a.Load.StallUS)/1e3)
}
