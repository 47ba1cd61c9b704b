// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Where there is no compiler, in a machine of another CPU, the programs and
// patches come from a folder. A run of the same tests on the host has filled it:
// there, whatever would be built for this CPU is built for the other one and kept
// under a key, and nothing is started.
const (
	cpuVariable      = "ULPATCH_CPU"      // what to build for
	prepareVariable  = "ULPATCH_PREPARE"  // the folder to fill
	preparedVariable = "ULPATCH_PREPARED" // the folder to take from
)

// Preparing tells that what is built is only kept, because it is for another CPU.
func Preparing() bool { return os.Getenv(prepareVariable) != "" }

// Emulated tells that the CPU is slow, or that what is built is for one that is.
func Emulated() bool { return Preparing() || os.Getenv(preparedVariable) != "" }

// Scale returns n, or much less where the CPU is emulated: of how often something
// is repeated.
func Scale(n int) int {
	if Emulated() {
		return max(1, n/5)
	}
	return n
}

// Slow returns d, or more where the CPU is emulated: of how long something may
// take.
func Slow(d time.Duration) time.Duration {
	if Emulated() {
		return 5 * d
	}
	return d
}

// OperationTime is about how long it takes to apply or revert a patch, for those who
// disturb it at a random moment.
func OperationTime() time.Duration {
	if Emulated() {
		return 300 * time.Millisecond
	}
	return 12 * time.Millisecond
}

// kept makes files in dir, or takes them from the folder of what was prepared. What
// describes them has to be a value that encoding/json knows.
func kept(dir string, what any, make func() error) error {
	description, err := json.Marshal(what)
	if err != nil {
		return err
	}
	key, err := keyOf(description)
	if err != nil {
		return err
	}
	if from := os.Getenv(preparedVariable); from != "" {
		err := copyFiles(filepath.Join(from, key), dir)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("was not prepared: %s: %w", description, err)
		}
		return err
	}
	if err := make(); err != nil {
		return err
	}
	if to := os.Getenv(prepareVariable); to != "" {
		return copyFiles(dir, filepath.Join(to, key))
	}
	return nil
}

// keyOf is another one for other sources, too: what was prepared before they
// changed is not found.
func keyOf(description []byte) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s\n", CPU(), description)
	err := fs.WalkDir(victims, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := victims.ReadFile(name)
		fmt.Fprintf(sum, "%s %d\n%s", name, len(data), data)
		return err
	})
	return fmt.Sprintf("%x", sum.Sum(nil)[:12]), err
}

// copyFiles copies the files of a folder that somebody may want who has no
// compiler.
func copyFiles(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() || slices.Contains([]string{".c", ".h", ".o"}, filepath.Ext(e.Name())) {
			continue
		}
		if err := copyFile(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, info.Mode().Perm())
}
