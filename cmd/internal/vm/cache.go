// SPDX-License-Identifier: GPL-2.0-or-later

package vm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// CacheDir is where all is kept that was fetched: ulpatch/vm in the user's cache.
// Removing it is always right, and the way to get newer kernels.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	return filepath.Join(dir, "ulpatch", "vm"), nil
}

// cached returns a folder of the cache. fill makes it where it is not there: in
// another folder, which gets its name once it is complete. Of several programs
// that miss the same one, the first fills it and the others wait.
func cached(name string, fill func(dir string) error) (string, error) {
	root, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, name)
	if there(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	lock, err := os.Create(dir + ".lock")
	if err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("cache: lock: %w", err)
	}
	if there(dir) {
		return dir, nil
	}
	part := dir + ".part" // of somebody who was interrupted: we hold the lock
	if err := os.RemoveAll(part); err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	defer os.RemoveAll(part)
	if err := os.Mkdir(part, 0o755); err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	if err := fill(part); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if err := os.Rename(part, dir); err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	return dir, nil
}

func there(dir string) bool {
	_, err := os.Stat(dir)
	return !errors.Is(err, fs.ErrNotExist)
}
