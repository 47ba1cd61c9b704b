// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/builder"
)

const oracleMain = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
unsigned entry(unsigned);
#if MODE == 2
extern int fixed;
#endif
int main(void) {
	char line[64];
	setvbuf(stdout, 0, _IOLBF, 0);
	puts("ready");
	while (fgets(line, sizeof line, stdin)) {
#if MODE == 2
		if (line[0] == 'f') { fixed = line[1] == '1'; puts("done"); continue; }
#endif
		printf("%u\n", entry((unsigned)strtoul(line, 0, 10)));
	}
	return 0;
}
`

// TestOracle patches generated programs while they run. Before, while the patch
// is on, and once it is reverted, they answer as a program does in which both
// versions are compiled and a variable chooses. ULPATCH_ORACLE=FROM-TO chooses
// other seeds, and ULPATCH_ORACLE_PLAIN=1 objects without section flags alone.
func TestOracle(t *testing.T) {
	from, to := uint64(1), uint64(max(Scale(16), 6))
	if text := os.Getenv("ULPATCH_ORACLE"); text != "" {
		if n, err := fmt.Sscanf(text, "%d-%d", &from, &to); n != 2 {
			t.Fatalf("ULPATCH_ORACLE=%q: %v", text, err)
		}
	}
	refused := map[builder.Code]int{}
	applied := 0
	for seed := from; seed <= to; seed++ {
		codes, ran := oracle(t, seed)
		for _, c := range codes {
			refused[c]++
		}
		if ran {
			applied++
		}
	}
	t.Logf("%d applied, refused: %v", applied, refused)
	if total := int(to - from + 1); applied*3 < total {
		t.Errorf("only %d of %d patches were made", applied, total)
	}
}

// oracle runs one seed, or returns why it was refused.
func oracle(t *testing.T, seed uint64) (refused []builder.Code, ran bool) {
	t.Helper()
	cc, cflags, ldflags := howToCompile(seed, peculiar(t).guarded)
	dir := t.TempDir()
	how := fmt.Sprintf("seed %d, %s %s", seed, cc, strings.Join(cflags, " "))
	f := newFixture(dir, "program", "oracle")
	err := kept(dir, how, func() error { return makeOracle(f, seed, cc, cflags, ldflags) })
	if err != nil {
		t.Fatalf("%s: %v", how, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, refusals))
	if err != nil {
		t.Fatalf("%s: %v", how, err)
	}
	var all []builder.Refusal
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatalf("%s: %v", how, err)
	}
	for _, r := range all {
		if !slices.Contains(refused, r.Code) {
			refused = append(refused, r.Code)
		}
	}
	if len(refused) > 0 {
		t.Logf("%s: %v", how, &all[0])
		return refused, false
	}
	if Preparing() {
		return nil, true
	}
	if err := f.open(); err != nil {
		t.Fatalf("%s: %v", how, err)
	}
	if err := compareWithReference(t, f, seed); err != nil {
		t.Fatalf("%s: %v", how, err)
	}
	return nil, true
}

// refusals is the file with why there is no patch, beside the programs.
const refusals = "refusals.json"

// makeOracle builds the program, the reference, and the patch or why there is none.
func makeOracle(f *Fixture, seed uint64, cc string, cflags, ldflags []string) error {
	for name, text := range map[string]string{"unit.c": generate(seed), "main.c": oracleMain} {
		if err := os.WriteFile(filepath.Join(f.Dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, c := range [][]string{
		slices.Concat(cflags, []string{"-DMODE=0", "-c", "unit.c", "-o", "orig.o"}),
		slices.Concat(cflags, []string{"-DMODE=1", "-c", "unit.c", "-o", "fixed.o"}),
		slices.Concat([]string{"-O1", "-w", "-DMODE=0", "main.c", "orig.o", "-Wl,--build-id", "-o", "program"}, ldflags),
		{"-O1", "-w", "-DMODE=2", "main.c", "unit.c", "-o", "reference"},
	} {
		if slices.Contains(c, "-no-pie") {
			c = append(c, "-fno-pie")
		}
		if err := compile(f.Dir, cc, c...); err != nil {
			return err
		}
	}
	all := builder.Refusals{}
	if err := f.diff(builder.Options{ID: "oracle"}); err != nil && !errors.As(err, &all) {
		return err
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.Dir, refusals), data, 0o644)
}

// compareWithReference runs both programs, and patches one of them.
func compareWithReference(t *testing.T, f *Fixture, seed uint64) error {
	t.Helper()
	v := start(t, f)
	defer v.Kill()
	reference := startCommand(t, exec.Command(filepath.Join(f.Dir, "reference")))
	defer reference.Kill()
	question := seed
	compare := func(stage string, n int) error {
		for range n {
			question = question*6364136223846793005 + 1442695040888963407
			ask := strconv.FormatUint(question>>40, 10)
			got, err := v.Ask(ask)
			if err != nil {
				return err
			}
			want, err := reference.Ask(ask)
			if err != nil {
				return err
			}
			if got != want {
				return fmt.Errorf("%s: entry(%s) is %s, expected %s", stage, ask, got, want)
			}
		}
		return nil
	}
	if err := compare("original", 8); err != nil {
		return err
	}
	apply(t, v, f)
	ask(t, reference, "f1", "done")
	if err := compare("patched", 24); err != nil {
		return err
	}
	revert(t, v, f.Bundle.Manifest.ID)
	ask(t, reference, "f0", "done")
	return compare("reverted", 8)
}
