// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
)

// applyAndRevert patches every process of the case while they are watched, and
// takes the patch back. Whatever happens on the way, it leaves no process
// patched that it can still revert.
func (k *cycle) applyAndRevert(ctx context.Context) error {
	before := map[int]string{}
	for _, one := range k.instances {
		for _, pid := range one.daemon.family() {
			digest, err := code(pid)
			if err != nil {
				return fmt.Errorf("pid %d: %w", pid, err)
			}
			before[pid] = digest
		}
	}

	pids, err := k.applyAll(ctx)
	if err == nil {
		err = k.whilePatched(ctx, pids)
	}
	for _, pid := range pids {
		if back := k.revertOne(ctx, pid); back != nil {
			return errors.Join(back, err)
		}
	}
	for pid, digest := range before {
		after, readErr := code(pid)
		if readErr == nil && after != digest {
			readErr = errors.New("code differs from what it was")
		}
		if readErr == nil {
			readErr = unharmed(pid)
		}
		if readErr != nil {
			return ended(harm, "revert", errors.Join(fmt.Errorf("pid %d: %w", pid, readErr), err))
		}
	}
	if serving := k.serving(); serving != nil {
		return ended(harm, "revert", errors.Join(serving, err))
	}
	if err != nil {
		return err
	}
	if err := k.check(vulnerable); err != nil {
		return ended(harm, "revert", err)
	}
	return nil
}

// applyAll returns the processes that were patched, also with an error. A
// process that has none of the bundle's images is passed over.
func (k *cycle) applyAll(ctx context.Context) (pids []int, err error) {
	var none answer
	for _, one := range k.instances {
		for _, pid := range one.daemon.family() {
			a, err := k.apply(ctx, pid, k.bundle)
			if err == nil && a.exit == ui.NoMatch {
				none = a
				continue
			}
			if err == nil && a.exit == ui.Done {
				pids = append(pids, pid)
			}
			if err := k.judge("apply", pid, a, err); err != nil {
				return pids, err
			}
			if pause, ok := find(a.stdout, "pause_us"); ok {
				us, _ := pause.(float64)
				k.result.PauseUS = max(k.result.PauseUS, us)
			}
		}
	}
	k.result.Processes = len(pids)
	if len(pids) == 0 {
		return nil, ended(failed, "apply", errors.New(none.reason()))
	}
	return pids, nil
}

// judge turns what a program said about a process into the end of the case, or
// into nil where it did what it should.
func (k *cycle) judge(stage string, pid int, a answer, err error) error {
	if harmed := unharmed(pid); harmed != nil {
		return ended(harm, stage, errors.Join(harmed, err))
	}
	if err != nil {
		return ended(failed, stage, err)
	}
	status, _ := find(a.stdout, "status")
	switch {
	case a.crashed():
		return ended(failed, stage, errors.New(a.reason()))
	case a.exit == ui.Done:
		return nil
	case a.exit == ui.Unknown:
		return ended(harm, stage, errors.New(a.reason()))
	case status == string(busy):
		return ended(busy, stage, errors.New(a.reason()))
	case a.exit == ui.Refused:
		return &verdictError{refused, stage, a.codes(), errors.New(a.reason())}
	}
	return ended(failed, stage, errors.New(a.reason()))
}

// whilePatched checks that the patched processes serve, that they know of their
// patch, that the bug is gone, and that a second apply changes nothing.
func (k *cycle) whilePatched(ctx context.Context, pids []int) error {
	if err := k.serving(); err != nil {
		return ended(harm, "patched", err)
	}
	if err := k.steps(ctx); err != nil {
		return err
	}
	if err := k.check(fixed); err != nil {
		return ended(harm, "patched", err)
	}
	for _, pid := range pids {
		listed, err := k.list(ctx, pid)
		if err := k.judge("list", pid, listed, err); err != nil {
			return err
		}
		if !active(listed.stdout, k.cve) {
			return ended(failed, "list", fmt.Errorf("pid %d: not listed as active: %.200q", pid, listed.stdout))
		}
		again, err := k.apply(ctx, pid, k.bundle)
		if err := k.judge("apply again", pid, again, err); err != nil {
			return err
		}
		if status, _ := find(again.stdout, "status"); status != "already applied" {
			return ended(failed, "apply again", fmt.Errorf("pid %d: status %v", pid, status))
		}
	}
	return nil
}

func (k *cycle) revertOne(ctx context.Context, pid int) error {
	a, err := k.revert(ctx, pid, k.cve)
	if err := k.judge("revert", pid, a, err); err != nil {
		return err
	}
	listed, err := k.list(ctx, pid)
	if err := k.judge("list", pid, listed, err); err != nil {
		return err
	}
	if active(listed.stdout, k.cve) {
		return ended(failed, "revert", fmt.Errorf("pid %d: still listed as active", pid))
	}
	return nil
}
