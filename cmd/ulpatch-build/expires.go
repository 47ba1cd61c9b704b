// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
	"github.com/ulpatch/ulpatch/format"
)

func expiresFlag() cli.Flag {
	return &cli.StringFlag{Name: "expires", Usage: "hosts apply it until `WHEN`: 2030-01-02T03:04:05Z, 90d (from now, or from SOURCE_DATE_EPOCH), or never"}
}

// expiry reads --expires; given is false where the flag is not.
func expiry(c *cli.Context) (t format.Time, given bool, err error) {
	if !c.IsSet("expires") {
		return 0, false, nil
	}
	text := c.String("expires")
	if text == "never" {
		return 0, true, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		t, err = daysFromNow(days)
	} else if err = t.UnmarshalText([]byte(text)); err == nil && t == 0 {
		err = fmt.Errorf("empty")
	}
	if err != nil {
		return 0, true, ui.Usagef("--expires: %w", err)
	}
	return t, true, nil
}

func daysFromNow(text string) (format.Time, error) {
	days, err := strconv.ParseUint(text, 10, 20)
	if err != nil || days == 0 {
		return 0, fmt.Errorf("%q is no number of days", text)
	}
	now := time.Now()
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("SOURCE_DATE_EPOCH: %q is no number of seconds", epoch)
		}
		now = time.Unix(seconds, 0)
	}
	return format.TimeOf(now.AddDate(0, 0, int(days)))
}
