// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"fmt"
)

// much is the memory of a guest with much of it, in MiB.
const much = 8192

// compareMemory compares how long it takes to search for coroutines beside a guest's
// memory that is small, and one that is large.
func (r *run) compareMemory(ctx context.Context) error {
	f, err := r.fix(ctx, insideFix)
	if err != nil {
		return err
	}
	r.say("")
	if err := r.search(ctx, f, r.memory); err != nil {
		return err
	}
	r.progress("booting a guest with %d MiB", much)
	large, err := r.kit.boot(ctx, "large", much)
	if err != nil {
		return err
	}
	small := r.guest
	r.guest = large
	err = r.search(ctx, f, much)
	r.guest = small
	if err != nil {
		large.kill()
		return err
	}
	return large.quit(ctx)
}

// search applies a fix and reverts it, and tells how much was searched.
func (r *run) search(ctx context.Context, f *fix, memory int) error {
	a, err := r.apply(ctx, f)
	if err != nil {
		return err
	}
	if a.Outcome != applied {
		return fmt.Errorf("%s: %s: %s", f.name, a.Outcome, a.Reason)
	}
	if err := r.revert(ctx, f, &a); err != nil {
		return err
	}
	rss, err := resident(r.guest.pid())
	if err != nil {
		return err
	}
	r.say("guest with %d MiB (QEMU's RSS %d MiB): coroutines searched for in %d MiB, %.0f ms; pause %.1f ms; guest's longest stall %.1f ms",
		memory, rss>>10, a.Apply.Searched>>20, a.Apply.SearchUS/1e3, a.Apply.PauseUS/1e3, float64(a.Load.StallUS)/1e3)
	return nil
}
