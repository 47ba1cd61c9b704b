// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"debug/elf"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// check tells whether a running image still has its bug. It comes with the
// corpus: either a script that asks a daemon, or a C program that loads the
// library and so is patched itself.
type check struct {
	pkg, cve string   // cve may be part of a longer name
	script   []string // Python file, then what follows the port
	program  string   // C file
	link     []string
}

var checks = []check{
	{pkg: "redis", cve: "CVE-2025-46818", script: []string{"redis-probe.py", "46818"}},
	{pkg: "redis", cve: "CVE-2024-31228", script: []string{"redis-probe.py", "31228"}},
	{pkg: "redis", cve: "CVE-2025-67733", script: []string{"redis-probe.py", "67733"}},
	{pkg: "mosquitto", cve: "CVE-2023-0809", script: []string{"mosq-0809.py"}},
	{pkg: "cjson", cve: "CVE-2025-57052", program: "cjson-57052.c", link: []string{"-l:libcjson.so.1"}},
	{pkg: "tiff", cve: "CVE-2023-52356", program: "tiff-52356.c"},
}

// The two answers of a check.
const (
	vulnerable = "VULN"
	fixed      = "FIXED"
)

// ask makes the check once and returns its answer.
type ask func(context.Context) (string, error)

// startCheck returns the check of a case, nil where the corpus has none, and the
// instance that it needs beside those of the case, or nil.
func startCheck(ctx context.Context, c testCase, at place) (ask, *instance, error) {
	for _, k := range checks {
		if k.pkg != c.pkg || !strings.Contains(c.cve, k.cve) {
			continue
		}
		file := k.program
		if k.script != nil {
			file = k.script[0]
		}
		if !exists(filepath.Join(at.shared.checks, file)) {
			return nil, nil, nil
		}
		if k.script != nil {
			question, err := k.scriptFor(at)
			return question, nil, err
		}
		return k.programFor(ctx, c, at)
	}
	return nil, nil, nil
}

func (k check) scriptFor(at place) (ask, error) {
	_, port, err := net.SplitHostPort(at.started[0].address)
	if err != nil {
		return nil, err
	}
	arguments := append([]string{filepath.Join(at.shared.checks, k.script[0]), port}, k.script[1:]...)
	return func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		output, err := exec.CommandContext(ctx, "python3", arguments...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s: %w: %s", k.script[0], err, strings.TrimSpace(string(output)))
		}
		return verdict(string(output))
	}, nil
}

func (k check) programFor(ctx context.Context, c testCase, at place) (ask, *instance, error) {
	if err := os.MkdirAll(at.dir, 0o755); err != nil {
		return nil, nil, err
	}
	program := filepath.Join(at.dir, "check")
	arguments := append([]string{"-O1", "-w", "-o", program, filepath.Join(at.shared.checks, k.program), c.images[0]}, k.link...)
	if output, err := exec.CommandContext(ctx, "gcc", arguments...).CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w: %s", k.program, err, strings.TrimSpace(string(output)))
	}
	// The program asks for the library by its soname.
	soname, err := sonameOf(c.images[0])
	if err != nil {
		return nil, nil, err
	}
	if err := os.Symlink(c.images[0], filepath.Join(at.dir, soname)); err != nil {
		return nil, nil, err
	}
	process, probe, err := converse(at, dialogue{
		question: "probe", greeting: "PID ",
		env: []string{"LD_LIBRARY_PATH=" + at.dir}, path: program,
	})
	if err != nil {
		return nil, nil, err
	}
	question := func(context.Context) (string, error) {
		line, err := probe()
		if err != nil {
			return "", err
		}
		return verdict(line)
	}
	process.probe = func() error {
		_, err := question(ctx)
		return err
	}
	return question, process, nil
}

// sonameOf returns the name under which programs ask for a shared library.
func sonameOf(path string) (string, error) {
	file, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	names, err := file.DynString(elf.DT_SONAME)
	if err != nil || len(names) != 1 {
		return "", fmt.Errorf("%s: no soname: %w", path, err)
	}
	return names[0], nil
}

// verdict finds the answer in a line "RESULT ...: ... => VULN".
func verdict(text string) (string, error) {
	_, answer, ok := strings.Cut(text, "=> ")
	answer = strings.TrimSpace(answer)
	if !ok || answer != vulnerable && answer != fixed {
		return "", fmt.Errorf("no verdict in %q", text)
	}
	return answer, nil
}
