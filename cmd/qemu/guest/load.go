// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/cmd/qemu/talk"
)

// load is what all workers count in.
type load struct {
	disks []*disk

	lock         sync.Mutex
	total, since talk.Counters // since is reset by a mark, total never
}

// did counts a request.
func (l *load) did(count func(c *talk.Counters)) {
	l.lock.Lock()
	defer l.lock.Unlock()
	count(&l.total)
	count(&l.since)
}

// wrong counts an error, and keeps the first.
func (l *load) wrong(err error) {
	fmt.Println("guest: error:", err)
	l.did(func(c *talk.Counters) {
		c.Errors++
		if c.Fault == "" {
			c.Fault = err.Error()
		}
	})
}

func (l *load) mark() talk.Counters {
	l.lock.Lock()
	defer l.lock.Unlock()
	c := l.since
	l.since = talk.Counters{}
	return c
}

func (l *load) all() talk.Counters {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.total
}

// watchClock notes how long the guest as a whole did not run. Its thread comes
// before all others, so that the load itself does not count.
func (l *load) watchClock() {
	runtime.LockOSThread()
	first := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 50}
	if err := unix.SchedSetAttr(0, first, 0); err != nil {
		l.wrong(fmt.Errorf("the clock's thread: %w", err))
	}
	const tick = time.Millisecond
	nap := unix.NsecToTimespec(int64(tick))
	for last := time.Now(); ; {
		_ = unix.Nanosleep(&nap, nil) // an interruption makes it wake sooner
		now := time.Now()
		late := now.Sub(last) - tick
		last = now
		l.did(func(c *talk.Counters) { c.StallUS = max(c.StallUS, late.Microseconds()) })
	}
}

// fill writes a sequence that is told by its seed.
func fill(p []byte, seed uint64) {
	x := seed*0x9e3779b97f4a7c15 + 1
	for len(p) >= 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(p, x)
		p = p[8:]
	}
	for i := range p {
		p[i] = byte(x >> (8 * i))
	}
}
