// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/cmd/internal/live"
)

type config struct {
	cycles, kills, threads int
	seed                   int64
	limit                  time.Duration // 0: none
}

// tally is what the run prints.
type tally struct {
	config
	done, killed            int
	attempts                int // to kill
	deaths, stopped, wrong  int
	mappings, files         int // left behind in the end
	rssBefore, rssAfter     int // kB
	failed                  int // operations that failed without a kill
	elapsed                 time.Duration
	longest                 time.Duration
	interrupted, tries, ops int
}

func (t *tally) clean() bool {
	return t.deaths+t.stopped+t.wrong+t.mappings+t.files+t.failed == 0
}

func (t *tally) print(w io.Writer) {
	fmt.Fprintf(w, "cycles            %d of %d, %d threads, seed %d, %v\n", t.done, t.cycles, t.threads, t.seed, t.elapsed.Round(time.Second))
	fmt.Fprintf(w, "kills             %d\n", t.killed)
	fmt.Fprintf(w, "tries             %d for %d operations that were not killed\n", t.tries, t.ops)
	fmt.Fprintf(w, "longest stop      %v\n", t.longest.Round(time.Microsecond))
	fmt.Fprintf(w, "epoll_wait EINTR  %d\n", t.interrupted)
	fmt.Fprintf(w, "RSS               %d kB before, %d kB after\n", t.rssBefore, t.rssAfter)
	fmt.Fprintf(w, "failed            %d\n", t.failed)
	fmt.Fprintf(w, "deaths            %d\n", t.deaths)
	fmt.Fprintf(w, "stopped           %d\n", t.stopped)
	fmt.Fprintf(w, "wrong results     %d\n", t.wrong)
	fmt.Fprintf(w, "leaked mappings   %d\n", t.mappings)
	fmt.Fprintf(w, "leaked files      %d\n", t.files)
}

func run(c config) (t *tally, err error) {
	t = &tally{config: c}
	dir, err := os.MkdirTemp("", "torture")
	if err != nil {
		return t, err
	}
	defer os.RemoveAll(dir)
	f, err := live.Build(dir, live.Recipe{Source: "hammer"})
	if err != nil {
		return t, err
	}
	kinds := []string{"idle=4", "registers=2", "reader=2", "sleeper=2", "poller=1", "sender=1", "receiver=1",
		"alarmed=1", "churn=1", "forker=1", "hammer=" + strconv.Itoa(c.threads)}
	v, err := live.Start(f.Program, kinds...)
	if err != nil {
		return t, err
	}
	defer v.Kill()
	start := time.Now()
	defer func() { t.elapsed = time.Since(start) }()
	return t, t.cyclesOn(v, f, rand.New(rand.NewSource(c.seed)))
}

func (t *tally) cyclesOn(v *live.Victim, f *live.Fixture, random *rand.Rand) error {
	start := time.Now()
	for t.done < t.cycles && (t.limit == 0 || time.Since(start) < t.limit) {
		for _, what := range []string{"apply", "revert"} {
			// Kills are spread over the run.
			if random.Intn(2*t.cycles) < t.kills {
				if err := t.kill(what, v, f, random); err != nil {
					return err
				}
			}
			if err := t.operate(what, v, f); err != nil {
				return err
			}
		}
		t.done++
		if t.done == min(t.cycles, 50) {
			t.rssBefore = rss(v.PID)
		}
		if t.done%20 == 0 {
			if err := t.ask(v); err != nil {
				return err
			}
		}
	}
	t.rssAfter = rss(v.PID)
	// What a revert could not free at once, on a busy machine, purge does.
	for range 20 {
		if _, err := applier.Purge(v.PID, options(-1)); errors.Is(err, applier.ErrNoMatch) {
			break
		}
	}
	t.leftBehind(v.PID)
	if err := t.ask(v); err != nil {
		return err
	}
	if err := v.Quit(); err != nil {
		t.wrong++
		return err
	}
	return nil
}

// operate does something to the end, and expects that it works.
func (t *tally) operate(what string, v *live.Victim, f *live.Fixture) error {
	opts := options(-1)
	var r *applier.Result
	var err error
	want := 2
	if what == "apply" {
		r, err = applier.Apply(v.PID, f.Bundle, opts)
	} else {
		r, err = applier.Revert(v.PID, f.Bundle.Manifest.ID, opts)
		want = 1
	}
	if errors.Is(err, applier.ErrNoMatch) && what == "revert" {
		err = nil // what was killed had reverted it
	}
	if err != nil {
		t.failed++
		return err
	}
	if r != nil {
		t.ops++
		t.tries += r.Tries
		t.longest = max(t.longest, r.Pause)
	}
	s, err := v.Status()
	if err == nil && s.Values["version"] != want {
		err = fmt.Errorf("after %s: %s", what, s.Line)
	}
	if err != nil {
		t.wrong++
	}
	return err
}

// steps is more than a tool makes: a kill at one that does not come is none.
const steps = 30

// stride reaches every step, and early ones and late ones in a short run.
const stride = 7

// kill starts the tool and kills it, at one step after another or after a random
// time.
func (t *tally) kill(what string, v *live.Victim, f *live.Fixture, random *rand.Rand) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	step := -1
	if t.attempts++; t.attempts%2 == 0 {
		step = t.attempts / 2 * stride % steps
	}
	cmd := exec.Command(self, toolMode, what, strconv.Itoa(v.PID), f.BundlePath, f.TrustPath, strconv.Itoa(step))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return fmt.Errorf("the tool did not start: %w", err)
	}
	if step < 0 {
		time.Sleep(time.Duration(random.Int63n(int64(live.OperationTime()))))
		_ = cmd.Process.Kill()
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(interface{ Signaled() bool }).Signaled() {
		t.killed++
	}
	return t.unharmed(what, step, v)
}

// unharmed makes sure that a process lives and that none of its threads stays
// stopped.
func (t *tally) unharmed(what string, step int, v *live.Victim) error {
	for wait := time.Millisecond; ; wait *= 2 {
		tids, err := proc.Threads(v.PID)
		if err != nil {
			t.deaths++
			return fmt.Errorf("after the kill of %s at step %d: %w", what, step, err)
		}
		stopped := 0
		for _, tid := range tids {
			if state, err := proc.ThreadState(v.PID, tid); err == nil && (state == 'T' || state == 't') {
				stopped++
			}
		}
		if stopped == 0 {
			break
		}
		if wait > 5*time.Second {
			t.stopped++
			return fmt.Errorf("after the kill of %s at step %d: %d threads stay stopped", what, step, stopped)
		}
		time.Sleep(wait)
	}
	return t.ask(v)
}

func (t *tally) ask(v *live.Victim) error {
	s, err := v.Status()
	if err == nil {
		t.interrupted = s.Values["interrupted"]
		return nil
	}
	if unix.Kill(v.PID, 0) != nil || len(s.Line) == 0 {
		t.deaths++
	} else {
		t.wrong++
	}
	return err
}

// leftBehind counts what of ours is still in a process.
func (t *tally) leftBehind(pid int) {
	maps, _ := proc.ReadMaps(pid)
	for _, m := range maps {
		if strings.HasPrefix(m.Path, "/memfd:ulpatch:") {
			t.mappings++
		}
	}
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && strings.HasPrefix(to, "/memfd:ulpatch:") {
			t.files++
		}
	}
}

func rss(pid int) int {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			n, _ := strconv.Atoi(f[1])
			return n
		}
	}
	return 0
}
