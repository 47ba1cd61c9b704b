// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/cmd/qemu/talk"
)

// TestTable: every fix has its line, and those that were not applied their reason.
func TestTable(t *testing.T) {
	done := attempt{Outcome: applied, Apply: operation{Tries: 3, PauseUS: 1500, SearchUS: 250e3}, Load: talk.Counters{StallUS: 7000}}
	fixes := []*fix{
		{name: "one", row: row{Alone: done, Stacked: done}},
		{name: "two", row: row{Alone: attempt{Outcome: refused, Codes: "some-code", Reason: "because"}}},
		{name: "three", row: row{Alone: done, Stacked: attempt{Outcome: busy, Reason: "in f"}}},
	}
	var out strings.Builder
	printTable(&out, fixes)
	for _, want := range []string{
		"two: refused: because\n", "three: busy: in f\n", "refused some-code",
		"alone: 3 fixes: 2 applied, 1 refused, 0 busy, 0 failed\n",
		"stacked: 3 fixes: 1 applied, 0 refused, 1 busy, 0 failed\n",
		"pause median 1.5 ms, longest 1.5 ms, search median 250.0 ms",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
	columns := strings.Count(tableHead, "\t")
	for _, a := range []attempt{done, fixes[1].row.Alone, {}} {
		if n := 1 + strings.Count(cells(a, true), "\t") + strings.Count(cells(a, false), "\t"); n != columns {
			t.Errorf("%s: %d columns, the head has %d", a.Outcome, n, columns)
		}
	}
}
