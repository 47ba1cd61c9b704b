// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ulpatch/ulpatch/applier"
	"github.com/ulpatch/ulpatch/cmd/internal/live"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/keys"
	"github.com/ulpatch/ulpatch/format/payload"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){program: func() { os.Exit(run()) }})
}

func TestScripts(t *testing.T) {
	plain := sync.OnceValues(func() (*live.Fixture, error) {
		return live.Build(t.TempDir(), live.Recipe{Source: "hammer"})
	})
	hooked := sync.OnceValues(func() (*live.Fixture, error) {
		return live.Build(t.TempDir(), live.Recipe{Source: "hooks"})
	})
	fixture := func(hooks bool) (*live.Fixture, error) {
		if hooks {
			return hooked()
		}
		return plain()
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status,
			"key":    makeKey,
			"bundle": func(ts *testscript.TestScript, neg bool, args []string) {
				hooks := len(args) > 0 && args[0] == "hooks"
				if hooks {
					args = args[1:]
				}
				f, err := fixture(hooks)
				ts.Check(err)
				makeBundle(ts, f, args)
			},
			"victim": func(ts *testscript.TestScript, neg bool, args []string) {
				hooks := len(args) > 0 && args[0] == "hooks"
				f, err := fixture(hooks)
				ts.Check(err)
				if hooks {
					startVictim(ts, f)
				} else {
					startVictim(ts, f, "idle=2", "hammer=1")
				}
			},
			"tell": tell,
		},
	})
}

// status runs the program and wants an exit code: status CODE ARG...
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: status CODE [ARG...]")
	}
	err := ts.Exec(program, args[1:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, expected %s", got, args[0])
	}
}

// makeKey writes a key pair: key NAME
func makeKey(ts *testscript.TestScript, neg bool, args []string) {
	key, err := keys.Generate()
	ts.Check(err)
	secret, err := keys.EncodeSecret(key, "")
	ts.Check(err)
	public, err := keys.EncodePublic(keys.Public(key))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), secret, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pub"), public, 0o644))
}

// makeBundle signs the fix of the victim: bundle [hooks] [SETTING...] OUT KEY...;
// settings are version=, expires= and critical=, a feature.
func makeBundle(ts *testscript.TestScript, f *live.Fixture, args []string) {
	m, payloads := f.Result.Manifest, f.Result.Payloads
	for len(args) > 0 && strings.Contains(args[0], "=") {
		var err error
		switch name, value, _ := strings.Cut(args[0], "="); name {
		case "version":
			m.Version, err = strconv.Atoi(value)
			payloads = [][]byte{rename(ts, payloads[0], "work of version "+value)}
		case "critical":
			m.Critical = []string{value}
		case "expires":
			err = m.Expires.UnmarshalText([]byte(value))
		default:
			err = fmt.Errorf("unknown setting %s", name)
		}
		ts.Check(err)
		args = args[1:]
	}
	data, err := format.Encode(m, payloads)
	ts.Check(err)
	for _, path := range args[1:] {
		key, err := keys.ReadSecret(ts.MkAbs(path), nil)
		ts.Check(err)
		data, err = format.Sign(data, key)
		ts.Check(err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

// rename makes another build of a payload.
func rename(ts *testscript.TestScript, data []byte, function string) []byte {
	f, err := payload.Decode(data)
	ts.Check(err)
	f.Table.Functions[0].Name = function
	data, err = payload.Encode(f)
	ts.Check(err)
	return data
}

// startVictim runs the program that is to be patched, as $PID. At the end of the
// script it has to be unharmed.
func startVictim(ts *testscript.TestScript, f *live.Fixture, args ...string) {
	v, err := live.Start(f.Program, args...)
	ts.Check(err)
	victims.Store(strconv.Itoa(v.PID), v)
	ts.Setenv("PID", strconv.Itoa(v.PID))
	ts.Setenv("TOOL", strconv.Itoa(os.Getpid())) // a process that is nobody's to patch
	ts.Defer(func() {
		if err := v.Quit(); err != nil {
			ts.Fatalf("the victim: %v", err)
		}
	})
}

var victims sync.Map // by pid

// tell says a line to the victim and prints its answer: tell WORD...
func tell(ts *testscript.TestScript, neg bool, args []string) {
	v, ok := victims.Load(ts.Getenv("PID"))
	if neg || !ok {
		ts.Fatalf("usage: tell WORD..., to a victim")
	}
	line, err := v.(*live.Victim).Ask(strings.Join(args, " "))
	ts.Check(err)
	ts.Logf("%s", line)
}

func TestMarkRevoked(t *testing.T) {
	patch := func(id string, version int, state, payload string) applier.Patch {
		return applier.Patch{ID: id, Version: version, State: state, Images: []applier.Target{{Bundle: "other"}, {Bundle: payload}}}
	}
	revoked := format.Revoked{Bundles: []format.RevokedBundle{
		{ID: "a", Through: 2, Reason: "crashes"}, {Payload: "beef", Reason: "miscompiled"},
	}}
	for _, c := range []struct {
		patch applier.Patch
		want  string
	}{
		{patch("a", 2, "active", ""), "crashes"},
		{patch("a", 3, "active", ""), ""},
		{patch("b", 2, "active", ""), ""},
		{patch("b", 2, "active", "beef"), "miscompiled"},
		{patch("a", 2, "reverted", "beef"), ""},
	} {
		if got := markRevoked([]applier.Patch{c.patch}, revoked); len(got) != 1 || got[0].Revoked != c.want || !reflect.DeepEqual(got[0].Patch, c.patch) {
			t.Errorf("%+v: %+v, expected %q", c.patch, got, c.want)
		}
	}
	if got := markRevoked(nil, revoked); got == nil || len(got) > 0 {
		t.Errorf("no patches: %v", got)
	}
}
