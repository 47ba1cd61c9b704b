// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

const tableHead = "fix\talone\ttries\tpause ms\tsearch ms\tstall ms\trevert ms\tstacked\ttries\tpause ms\tstall ms\trevert ms\t"

// printTable writes a line for each fix, the reasons of those that were not
// applied, and what they add up to.
func printTable(w io.Writer, fixes []*fix) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, tableHead)
	for _, f := range fixes {
		fmt.Fprintf(t, "%s\t%s%s\n", f.name, cells(f.row.Alone, true), cells(f.row.Stacked, false))
	}
	_ = t.Flush()
	fmt.Fprintln(w)
	for _, f := range fixes {
		for _, a := range []attempt{f.row.Alone, f.row.Stacked} {
			if a.Outcome != applied && a.Outcome != notTried {
				fmt.Fprintf(w, "%s: %s: %s\n", f.name, a.Outcome, a.Reason)
			}
		}
	}
	fmt.Fprintln(w)
	printSums(w, "alone", fixes, func(f *fix) attempt { return f.row.Alone })
	printSums(w, "stacked", fixes, func(f *fix) attempt { return f.row.Stacked })
}

func cells(a attempt, search bool) string {
	if a.Outcome == notTried {
		return "-\t\t\t\t\t"
	}
	name := string(a.Outcome)
	if a.Codes != "" {
		name += " " + a.Codes
	}
	if a.Outcome != applied {
		name += "\t\t\t\t\t"
		if search {
			name += "\t"
		}
		return name
	}
	text := fmt.Sprintf("%s\t%d\t%.1f\t", name, a.Apply.Tries, a.Apply.PauseUS/1e3)
	if search {
		text += fmt.Sprintf("%.0f\t", a.Apply.SearchUS/1e3)
	}
	return text + fmt.Sprintf("%.1f\t%.1f\t", float64(a.Load.StallUS)/1e3, a.Revert.PauseUS/1e3)
}

func printSums(w io.Writer, name string, fixes []*fix, of func(*fix) attempt) {
	count := map[outcome]int{}
	var pauses, searches, stalls []float64
	for _, f := range fixes {
		a := of(f)
		count[a.Outcome]++
		if a.Outcome == applied {
			pauses = append(pauses, a.Apply.PauseUS/1e3)
			searches = append(searches, a.Apply.SearchUS/1e3)
			stalls = append(stalls, float64(a.Load.StallUS)/1e3)
		}
	}
	fmt.Fprintf(w, "%s: %d fixes: %d applied, %d refused, %d busy, %d failed\n",
		name, len(fixes), count[applied], count[refused], count[busy], count[failed])
	fmt.Fprintf(w, "  pause %s, search %s, guest's longest stall %s\n", spread(pauses), spread(searches), spread(stalls))
}

// spread is the median and the greatest of some times in milliseconds.
func spread(ms []float64) string {
	if len(ms) == 0 {
		return "-"
	}
	slices.Sort(ms)
	return fmt.Sprintf("median %.1f ms, longest %.1f ms", ms[len(ms)/2], ms[len(ms)-1])
}
