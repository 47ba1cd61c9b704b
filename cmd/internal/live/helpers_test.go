// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"runtime"
	"testing"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/payload"
)

// The main thread is the one OS thread that never ends; it is not for tests.
func init() { runtime.LockOSThread() }

func lockOSThread() { runtime.LockOSThread() }

// tableOf is the table of a bundle's only payload.
func tableOf(t *testing.T, f *Fixture) format.Table {
	t.Helper()
	p, err := payload.FromBundle(f.Bundle, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p.Table
}
