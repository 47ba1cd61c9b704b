// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
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

// cells are an attempt's: six, or five without the time of the search.
func cells(a attempt, search bool) string {
	text := []string{string(a.Outcome), "", "", "", "", ""}
	switch a.Outcome {
	case notTried:
		text[0] = "-"
	case applied:
		if a.Paused {
			text[0] += ", paused"
		}
		text[1] = strconv.Itoa(a.Apply.Tries)
		for i, us := range []float64{a.Apply.PauseUS, a.Apply.SearchUS, float64(a.Load.StallUS), a.Revert.PauseUS} {
			text[2+i] = fmt.Sprintf("%.1f", us/1e3)
		}
	default:
		text[0] = strings.TrimSpace(text[0] + " " + a.Codes)
	}
	if !search {
		text = slices.Delete(text, 3, 4)
	}
	return strings.Join(text, "\t") + "\t"
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
