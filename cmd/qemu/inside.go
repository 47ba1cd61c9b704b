// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// probeDisk is a disk of QEMU's that no guest has. What is written to it is logged
// to probeLog, where requests can be held up.
const (
	probeDisk = "probe"
	probeLog  = "probelog"
)

// insideFix changes insideFunction, in which a coroutine waits until a request was
// logged.
const (
	insideFix      = "blklogwrites-7.2.9"
	insideFunction = "blk_log_writes_co_log"
)

// inside puts a coroutine to sleep in the function that a fix changes, tries to
// apply the fix, and lets the coroutine go on.
func (r *run) inside(ctx context.Context) error {
	f, err := r.fix(ctx, insideFix)
	if err != nil {
		return err
	}
	for _, command := range [][2]string{{probeLog, "break pwritev held"}, {probeDisk, "aio_write 0 4k"}} {
		if err := r.qemuIO(command[0], command[1]); err != nil {
			return err
		}
	}
	r.progress("inside: a coroutine sleeps in the function that %s changes", f.name)
	a, err := r.refusedWhileInside(ctx, f)
	if err != nil {
		return err
	}
	r.say("\ncoroutine inside: %s", a.reason())

	type end struct {
		answer
		at  time.Time
		err error
	}
	done := make(chan end, 1)
	go func() {
		a, err := r.tools.apply(ctx, r.guest.pid(), f.bundle)
		done <- end{a, time.Now(), err}
	}()
	time.Sleep(3 * time.Second)
	select {
	case e := <-done:
		return fmt.Errorf("applied while a coroutine sleeps inside: %s: %w", e.Status, e.err)
	default:
	}
	left := time.Now()
	if err := r.qemuIO(probeLog, "resume held"); err != nil {
		return err
	}
	e := <-done
	if err := errors.Join(e.err, e.failure()); err != nil {
		return err
	}
	r.say("coroutine gone: applied %.1f s after it has left, at try %d, pause %.1f ms", e.at.Sub(left).Seconds(), e.Tries, e.PauseUS/1e3)
	var again attempt
	if err := r.revert(ctx, f, &again); err != nil {
		return err
	}
	return r.tidy(ctx)
}

// refusedWhileInside tries to apply a fix and wants the coroutine to be the reason
// why it cannot be. A machine that does other things may bring another one first: a
// thread that does not stop in time.
func (r *run) refusedWhileInside(ctx context.Context, f *fix) (a answer, err error) {
	impatient := *r.tools
	impatient.timeout = 3 * time.Second
	for range 10 {
		if a, err = impatient.apply(ctx, r.guest.pid(), f.bundle); err != nil {
			return a, err
		}
		if a.Status != string(busy) {
			break
		}
		if strings.Contains(a.reason(), "a coroutine is in "+insideFunction) {
			return a, nil
		}
	}
	return a, fmt.Errorf("while a coroutine sleeps inside: %s: %s", a.Status, a.reason())
}

// qemuIO gives a command of qemu-io(1) to a disk.
func (r *run) qemuIO(disk, command string) error {
	text, err := r.guest.human(fmt.Sprintf("qemu-io %s \"%s\"", disk, command))
	if err == nil && strings.Contains(strings.ToLower(text), "error") {
		err = errors.New(text)
	}
	if err != nil {
		err = fmt.Errorf("qemu-io %s %q: %w", disk, command, err)
	}
	return err
}

// fix finds a fix by its name, and builds it.
func (r *run) fix(ctx context.Context, name string) (*fix, error) {
	for _, f := range r.fixes {
		if f.name == name {
			return f, f.build(ctx, r.tools, r.bundles())
		}
	}
	return nil, fmt.Errorf("the corpus has no %s", name)
}

// replaceOnce replaces the one occurrence of a text by another of the same length.
func replaceOnce(data []byte, old, by string) ([]byte, error) {
	if len(old) != len(by) || bytes.Count(data, []byte(old)) != 1 {
		return nil, fmt.Errorf("%q is not there once", old)
	}
	return bytes.Replace(data, []byte(old), []byte(by), 1), nil
}
