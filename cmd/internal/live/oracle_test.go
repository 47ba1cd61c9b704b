// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/applier"
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
// other seeds.
func TestOracle(t *testing.T) {
	from, to := uint64(1), uint64(16)
	if text := os.Getenv("ULPATCH_ORACLE"); text != "" {
		if n, err := fmt.Sscanf(text, "%d-%d", &from, &to); n != 2 {
			t.Fatalf("ULPATCH_ORACLE=%q: %v", text, err)
		}
	}
	refused := map[builder.Code]int{}
	applied := 0
	for seed := from; seed <= to; seed++ {
		codes := oracle(t, seed)
		for _, c := range codes {
			refused[c]++
		}
		if len(codes) == 0 {
			applied++
		}
	}
	t.Logf("%d applied, refused: %v", applied, refused)
	if total := int(to - from + 1); applied*2 < total {
		t.Errorf("only %d of %d patches were made", applied, total)
	}
}

// oracle runs one seed and returns why it was refused.
func oracle(t *testing.T, seed uint64) []builder.Code {
	t.Helper()
	cc, cflags, ldflags := howToCompile(seed)
	dir := t.TempDir()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("seed %d, %s %s: %s", seed, cc, strings.Join(cflags, " "), fmt.Sprintf(format, args...))
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			fail("%v", err)
		}
	}
	must(os.WriteFile(filepath.Join(dir, "unit.c"), []byte(generate(seed)), 0o644))
	must(os.WriteFile(filepath.Join(dir, "main.c"), []byte(oracleMain), 0o644))
	for _, c := range [][]string{
		slices.Concat(cflags, []string{"-DMODE=0", "-c", "unit.c", "-o", "orig.o"}),
		slices.Concat(cflags, []string{"-DMODE=1", "-c", "unit.c", "-o", "fixed.o"}),
		slices.Concat([]string{"-O1", "-w", "-DMODE=0", "main.c", "orig.o", "-Wl,--build-id", "-o", "program"}, ldflags),
		{"-O1", "-w", "-DMODE=2", "main.c", "unit.c", "-o", "reference"},
	} {
		if strings.Contains(strings.Join(c, " "), "-no-pie") && !slices.Contains(c, "-fno-pie") {
			c = append(c, "-fno-pie")
		}
		must(run(dir, cc, c...))
	}
	f := &Fixture{Dir: dir, Program: filepath.Join(dir, "program"), Image: filepath.Join(dir, "program")}
	if err := f.diff(Recipe{Source: "oracle"}); err != nil {
		var all builder.Refusals
		if !errors.As(err, &all) {
			fail("%v", err)
		}
		t.Logf("seed %d, %s %s: %v", seed, cc, strings.Join(cflags, " "), all[0])
		var codes []builder.Code
		for _, r := range all {
			if !slices.Contains(codes, r.Code) {
				codes = append(codes, r.Code)
			}
		}
		return codes
	}
	v, err := Start(f.Program)
	must(err)
	defer v.Kill()
	reference, err := Start(filepath.Join(dir, "reference"))
	must(err)
	defer reference.Kill()
	question := seed
	compare := func(stage string, n int) {
		t.Helper()
		for range n {
			question = question*6364136223846793005 + 1442695040888963407
			ask := strconv.FormatUint(question>>40, 10)
			got, err := v.Ask(ask)
			must(err)
			want, err := reference.Ask(ask)
			must(err)
			if got != want {
				fail("%s: entry(%s) is %s, expected %s", stage, ask, got, want)
			}
		}
	}
	choose := func(which string) {
		t.Helper()
		_, err := reference.Ask(which)
		must(err)
	}
	compare("original", 8)
	_, err = applier.Apply(v.PID, f.Bundle, patient)
	must(err)
	choose("f1")
	compare("patched", 24)
	_, err = applier.Revert(v.PID, f.Bundle.Manifest.ID, patient)
	must(err)
	choose("f0")
	compare("reverted", 8)
	return nil
}
