// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A corpus is prepared on one machine to be run on another, which may have
// another CPU and no compiler: there is a bundle for each case and a host program
// for each library, and the images are stripped, as those that are shipped.
//
//	ci.pub
//	hosts/host-WORK
//	pairs/[FLAVOUR/]PACKAGE/CASE/{prepared.json,fix.ulp,expected,target/IMAGE}
const (
	preparedFile = "prepared.json" // the result so far
	preparedKey  = "ci.pub"
)

func (c testCase) prepared() bool { return exists(filepath.Join(c.dir, preparedFile)) }

// prepare makes the bundle of a case and puts what running it needs below dir.
func prepare(ctx context.Context, s *shared, c testCase, dir string) result {
	k := newCycle(s, c, built)
	begun := time.Now()
	err := k.fill(ctx, dir)
	r := k.conclude(begun, err)
	if r.Outcome == refused || c.expected == refused {
		r.compare(c.expected)
	}
	return r
}

func (k *cycle) fill(ctx context.Context, dir string) error {
	dir = filepath.Join(dir, "pairs", k.String()) // with the folder of the flavour in it
	if err := os.MkdirAll(filepath.Join(dir, "target"), 0o755); err != nil {
		return err
	}
	begun := time.Now()
	k.bundle = filepath.Join(dir, "fix.ulp")
	made := k.buildBundle(ctx)
	for _, image := range k.images {
		if err := k.strip(ctx, image, filepath.Join(dir, "target", filepath.Base(image))); err != nil {
			return err
		}
		i := slices.IndexFunc(services, func(one service) bool { return slices.Contains(one.images, filepath.Base(image)) })
		if i >= 0 && services[i].work != "" {
			if _, err := k.compileHost(ctx, services[i].work); err != nil {
				return err
			}
		}
	}
	text, err := json.Marshal(k.conclude(begun, made))
	if err != nil {
		return err
	}
	if k.expected != "" {
		if err := os.WriteFile(filepath.Join(dir, expectedFile), []byte(k.expected), 0o644); err != nil {
			return err
		}
	}
	return errors.Join(made, os.WriteFile(filepath.Join(dir, preparedFile), text, 0o644))
}

func (s *shared) strip(ctx context.Context, image, to string) error {
	strip := exec.CommandContext(ctx, s.cross+"strip", "-o", to, image)
	if output, err := strip.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", image, err, strings.TrimSpace(string(output)))
	}
	return nil
}

// takePrepared goes on from where the other machine has left the case.
func (k *cycle) takePrepared() error {
	text, err := os.ReadFile(filepath.Join(k.testCase.dir, preparedFile))
	if err != nil {
		return err
	}
	var r result
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("%s: %w", preparedFile, err)
	}
	if r.Outcome != built {
		k.result.BuildMS = r.BuildMS
		return &verdictError{r.Outcome, r.Stage, r.Codes, errors.New(r.Reason)}
	}
	k.result.BuildMS, k.result.Bytes = r.BuildMS, r.Bytes
	k.bundle = filepath.Join(k.testCase.dir, "fix.ulp")
	return nil
}
