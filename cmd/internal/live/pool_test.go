// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"testing"
	"time"
)

// TestPool patches what the coroutines of busy event loops wait in: between two
// requests there is a moment, and what they have left on their stacks is told from
// frames although these never come to rest.
func TestPool(t *testing.T) {
	f := build(t, Recipe{Source: "pool"})
	v := start(t, f)
	for range 5 {
		for want, operation := range []func(){func() { apply(t, v, f) }, func() { revert(t, v, f.Bundle.Manifest.ID) }} {
			operation()
			awaitVersion(t, v, 2-want)
		}
	}
	quit(t, v)
}

// awaitVersion waits until requests are served by a version.
func awaitVersion(t *testing.T, v *Victim, want int) {
	t.Helper()
	for limit := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		s, err := v.Status()
		if err != nil {
			t.Fatal(err)
		}
		if s.Values["version"] == want {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("%s instead of version %d", s.Line, want)
		}
	}
}
