// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// hostSources are host.c, a program that loads a library and works with it in
// several threads, and for each library a file that says what work is.
//
//go:embed host/*.c host/*.h
var hostSources embed.FS

var (
	expat      = library("expat", "libexpat.so.1.8.10")
	cjson      = library("cjson", "libcjson.so.1.7.15")
	cjsonUtils = library("cjson_utils", "libcjson_utils.so.1.7.15")
	libtiff    = library("tiff", "libtiff.so.6.0.0")
	libpng     = library("png", "libpng16.so.16.39.0")
	libde265   = library("de265", "libde265.so.0.1.4")
)

// libmosquitto is a client library: its work is to talk to the broker.
var libmosquitto = service{images: []string{"libmosquitto.so.1"}, work: "mosquitto", start: func(ctx context.Context, at place) (*instance, error) {
	if len(at.started) == 0 {
		return nil, errors.New("no broker to connect to")
	}
	return startHost(ctx, at, "mosquitto", at.started[0].address)
}}

func library(work, name string) service {
	return service{images: []string{name}, work: work, start: func(ctx context.Context, at place) (*instance, error) {
		return startHost(ctx, at, work, at.dir)
	}}
}

// startHost starts the host program of a library; argument is for its work.
func startHost(ctx context.Context, at place, work, argument string) (*instance, error) {
	host, err := at.shared.compileHost(ctx, work)
	if err != nil {
		return nil, err
	}
	one, err := converse(at, host, at.image, argument)
	if err != nil {
		return nil, err
	}
	one.probe = func() error {
		answer, err := one.ask("rounds")
		if err != nil {
			return err
		}
		var done, failed int
		if _, err := fmt.Sscanf(answer, "rounds %d failed %d", &done, &failed); err != nil {
			return errors.New(answer)
		}
		if done == 0 || failed > 0 {
			return fmt.Errorf("%d of %d rounds went wrong", failed, done)
		}
		return nil
	}
	return one, nil
}

// compileHost makes the host program for a kind of work, unless it is there.
func (s *shared) compileHost(ctx context.Context, work string) (string, error) {
	s.compiling.Lock()
	defer s.compiling.Unlock()
	program := filepath.Join(s.hosts, "host-"+work)
	if exists(program) {
		return program, nil
	}
	sources := filepath.Join(s.scratch, "sources")
	if err := os.CopyFS(sources, hostSources); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	gcc := exec.CommandContext(ctx, s.cross+"gcc", "-O2", "-Wall", "-Werror", "-pthread", "-o", program,
		filepath.Join(sources, "host", "host.c"), filepath.Join(sources, "host", work+".c"))
	if output, err := gcc.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", work, err, strings.TrimSpace(string(output)))
	}
	return program, nil
}
