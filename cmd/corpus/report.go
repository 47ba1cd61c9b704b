// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// printRow tells of one case as soon as it has ended.
func printRow(w io.Writer, r result) {
	text := string(r.Outcome)
	if r.Stage != "" {
		text += " (" + r.Stage + ")"
	}
	if r.Codes != "" {
		text += " " + r.Codes
	}
	fmt.Fprintf(w, "%-58s %-28s build %7.0f ms  pause %6.0f us  %5.1f s  %s\n",
		shorten(r.Case, 58), text, r.BuildMS, r.PauseUS, r.Seconds, r.Check)
	if r.Reason != "" && r.Outcome != applied && r.Outcome != built {
		fmt.Fprintf(w, "    %s\n", shorten(strings.ReplaceAll(r.Reason, "\n", "; "), 300))
	}
}

func shorten(text string, limit int) string {
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return text
}

// total sums the cases of a package, or of all.
type total struct {
	cases, built, applied, refused, busy, started, notRun, failed, harm int

	build, seconds float64 // ms, s
	pauses         []float64
}

func (t *total) add(r result) {
	t.cases++
	switch r.Outcome {
	case applied:
		t.applied++
		t.pauses = append(t.pauses, r.PauseUS)
	case built:
		t.built++
	case refused:
		t.refused++
	case busy:
		t.busy++
	case started:
		t.started++
	case notRun:
		t.notRun++
	case failed:
		t.failed++
	case harm:
		t.harm++
	}
	t.build += r.BuildMS
	t.seconds += r.Seconds
}

// printTotals tells how many cases went how, by package.
func printTotals(w io.Writer, results []result) total {
	var all total
	packages := map[string]*total{}
	for _, r := range results {
		name := r.Package
		if r.Flavour != sections {
			name = r.Flavour + "/" + name
		}
		if packages[name] == nil {
			packages[name] = &total{}
		}
		packages[name].add(r)
		all.add(r)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\npackage\tcases\tbuilt\tapplied\trefused\tbusy\tstarted\tnot run\tfailed\tHARM\tbuild s\tall s\tmedian pause us\tlongest\t")
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		packages[name].print(table, name)
	}
	all.print(table, "total")
	_ = table.Flush()
	return all
}

func (t *total) print(w io.Writer, name string) {
	median, longest := 0.0, 0.0
	if len(t.pauses) > 0 {
		slices.Sort(t.pauses)
		median, longest = t.pauses[len(t.pauses)/2], t.pauses[len(t.pauses)-1]
	}
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t%.0f\t%.0f\t\n", name, t.cases, t.built, t.applied,
		t.refused, t.busy, t.started, t.notRun, t.failed, t.harm, t.build/1000, t.seconds, median, longest)
}

func writeJSON(path string, results []result) error {
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
