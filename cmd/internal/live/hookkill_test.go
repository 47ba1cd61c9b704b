// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier"
)

// toolVariable makes TestHookTool the tool that is killed: "apply|revert PID BUNDLE
// TRUST STEP". It kills itself at the STEP-th of its steps.
const toolVariable = "ULPATCH_HOOK_TOOL"

// TestHookTool is no test, but the tool of those below.
func TestHookTool(t *testing.T) {
	var what, bundle, trust string
	var pid, step int
	if n, _ := fmt.Sscan(os.Getenv(toolVariable), &what, &pid, &bundle, &trust, &step); n != 5 {
		return
	}
	f := &Fixture{BundlePath: bundle, TrustPath: trust}
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	opts := patient
	opts.Step = func(name string) {
		if name == "hook:entered" {
			fmt.Println(name)
		}
		// With one of two functions switched over, objects would get shadows that
		// nobody frees: that is promised by no document.
		if step--; step < 0 && name != "commit:edit" {
			_ = unix.Kill(unix.Getpid(), unix.SIGKILL)
		}
	}
	var err error
	if what == "apply" {
		_, err = applier.Apply(pid, f.Bundle, opts)
	} else {
		_, err = applier.Revert(pid, f.Bundle.Manifest.ID, opts)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// tool runs the tool and tells whether it was killed. If it is to be killed later
// than at one of its steps, wait does that.
func tool(t *testing.T, f *Fixture, v *Victim, what string, step int, wait func(*os.Process)) (killed bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHookTool$")
	cmd.Env = append(os.Environ(), toolVariable+"="+fmt.Sprint(what, " ", v.PID, " ", f.BundlePath, " ", f.TrustPath, " ", strconv.Itoa(step)))
	var out limited
	cmd.Stdout, cmd.Stderr = &out, &out
	if wait != nil { // until a hook has begun
		cmd.Stdout = nil
		in, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		begun := wait
		wait = func(p *os.Process) {
			_, _ = bufio.NewReader(in).ReadString('\n')
			begun(p)
		}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if wait != nil {
		wait(cmd.Process)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(interface{ Signaled() bool }).Signaled() {
		return true
	}
	if err != nil {
		t.Fatalf("the tool: %v\n%s", err, out)
	}
	return false
}

// limited keeps the start of what is written.
type limited []byte

func (l *limited) Write(p []byte) (int, error) {
	*l = append(*l, p[:min(len(p), 4096-min(len(*l), 4096))]...)
	return len(p), nil
}

// wantSettled wants that the patch is either in, with all hooks of its coming, or
// out, with all of its going.
func wantSettled(t *testing.T, v *Victim, when string) (version int) {
	t.Helper()
	if _, err := applier.Recover(v.PID, patient); err != nil && !errors.Is(err, applier.ErrNoMatch) {
		t.Fatalf("%s: %v", when, err)
	}
	s := status(t, v)
	in := s.Values["version"] - 1
	if s.Values["prepared"] != in || s.Values["begun"] != in {
		t.Fatalf("%s: %s", when, s.Line)
	}
	return s.Values["version"]
}

// TestHookKilled kills the tool at each of its steps: the process lives on, and
// the next run brings hooks and patch together again.
func TestHookKilled(t *testing.T) {
	f := build(t, Recipe{Source: "hooks"})
	v := start(t, f)
	step := 1
	if Emulated() {
		step = 12
	}
	kills := 0
	for _, what := range []string{"apply", "revert"} {
		for n := 0; ; n += step {
			version := status(t, v).Values["version"]
			switch {
			case what == "apply" && version == 2:
				revert(t, v, "hooks")
			case what == "revert" && version == 1:
				apply(t, v, f)
			}
			if !tool(t, f, v, what, n, nil) {
				break
			}
			kills++
			wantSettled(t, v, fmt.Sprintf("%s, killed at step %d", what, n))
		}
		wantSettled(t, v, what)
	}
	t.Logf("killed %d times", kills)
	if kills < 40/step {
		t.Errorf("the tool was killed only %d times", kills)
	}
	if wantSettled(t, v, "at the end") == 2 {
		revert(t, v, "hooks")
	}
	quit(t, v)
}

// TestHookOutlivesTool kills the tool while each hook in turn takes its time: the
// hook comes to its end, its thread goes on, and no other hook runs before that.
func TestHookOutlivesTool(t *testing.T) {
	f := build(t, Recipe{Source: "hooks"})
	v := start(t, f)
	slow := 1500
	if Emulated() {
		slow = 6000
	}
	for _, c := range []struct {
		what, hook string
		version    int // afterwards
	}{
		{"apply", "pre_apply", 1}, {"revert", "pre_revert", 2},
	} {
		if c.what == "revert" {
			apply(t, v, f)
		}
		before := status(t, v).Values[c.hook]
		set(t, v, "slow", slow)
		killed := tool(t, f, v, c.what, 1<<20, func(p *os.Process) {
			// The hook may have taken the very thread that answers: it cannot be asked.
			time.Sleep(time.Duration(slow) * time.Millisecond / 5)
			_ = p.Kill()
		})
		if !killed {
			t.Fatalf("the %s hook was over too soon", c.hook)
		}
		if got := wantSettled(t, v, c.hook); got != c.version {
			t.Fatalf("%s: version %d, expected %d", c.hook, got, c.version)
		}
		if got := status(t, v).Values[c.hook]; got != before+1 {
			t.Fatalf("the %s hook was called %d times", c.hook, got-before)
		}
		if s := status(t, v); s.Values["inside"] != 0 {
			t.Fatal(s.Line)
		}
	}
	revert(t, v, "hooks")
	quit(t, v)
}
