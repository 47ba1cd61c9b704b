// SPDX-License-Identifier: GPL-2.0-or-later

package keys

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// epoch has passed: a host that believes to live before it has no clock.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const whyEpoch = "when this program was written"

// clock is the host's, where it can be believed.
type clock struct {
	after        time.Time // the time has come for certain
	why          string    // "when it was issued": what makes it certain
	synchronised bool      // the kernel has to call it so
	wall         func() time.Time
}

func (c clock) now() (time.Time, error) {
	wall := c.wall
	if wall == nil {
		wall = time.Now
	}
	now := wall()
	if now.Before(c.after) {
		return time.Time{}, fmt.Errorf("the clock is wrong: it says %s, which is before %s, %s",
			now.UTC().Format(time.RFC3339), c.after.UTC().Format(time.RFC3339), c.why)
	}
	if c.synchronised {
		if err := synchronised(); err != nil {
			return time.Time{}, err
		}
	}
	return now, nil
}

// synchronised asks the kernel whether something keeps its clock right.
func synchronised() error {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return kernelSays(t, state, err)
}

const timeError = 5 // TIME_ERROR of adjtimex(2)

func kernelSays(t unix.Timex, state int, err error) error {
	if err != nil {
		return fmt.Errorf("the time is not known: adjtimex: %w", err)
	}
	if state == timeError || t.Status&unix.STA_UNSYNC != 0 {
		return errors.New("the time is not known: the clock is not synchronised")
	}
	return nil
}
