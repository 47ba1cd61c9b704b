// SPDX-License-Identifier: GPL-2.0-or-later

package ui

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// WriteFile makes the file at path have this content, as a whole or not at all;
// a file that is there is replaced, and keeps its content where this fails. perm
// is what the umask leaves of it.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	target, err := resolve(path)
	if err != nil {
		return err
	}
	return viaTemp(path, target, data, perm, func(temp string) error { return os.Rename(temp, target) })
}

// CreateFile is WriteFile for a file that must not be there.
func CreateFile(path string, data []byte, perm fs.FileMode) error {
	return viaTemp(path, path, data, perm, func(temp string) error { return moveNew(temp, path) })
}

// CreateDir makes a directory with files (name to content), as a whole or not
// at all. It must not be there.
func CreateDir(path string, files map[string][]byte, perm fs.FileMode) error {
	path = filepath.Clean(path)
	temp := tempName(path)
	if err := os.Mkdir(temp, 0o777); err != nil {
		return rename(err, path)
	}
	forget := remember(temp)
	defer forget()
	for name, data := range files {
		if err := writeNew(filepath.Join(temp, name), data, perm); err != nil {
			return rename(err, filepath.Join(path, name))
		}
	}
	return rename(moveNew(temp, path), path)
}

// resolve follows a symbolic link, so that what it points to is replaced, and
// refuses what is no file: a rename would put one in the place of a device.
func resolve(path string) (string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", &fs.PathError{Op: "write", Path: path, Err: errors.New("not a regular file")}
	}
	return filepath.EvalSymlinks(path)
}

// viaTemp writes a file beside target and lets place put it there. Errors name
// path, not the temporary file.
func viaTemp(path, target string, data []byte, perm fs.FileMode, place func(temp string) error) error {
	temp := tempName(target)
	forget := remember(temp)
	defer forget()
	if err := writeNew(temp, data, perm); err != nil {
		return rename(err, path)
	}
	return rename(place(temp), path)
}

func writeNew(path string, data []byte, perm fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// moveNew renames to a name that must not be there.
func moveNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err != nil {
		return &fs.PathError{Op: "create", Path: to, Err: err}
	}
	return nil
}

func tempName(path string) string {
	dir, base := filepath.Split(path)
	return filepath.Join(dir, fmt.Sprintf(".%.100s.%s.tmp", base, rand.Text()))
}

// rename makes an error name the file that was asked for.
func rename(err error, path string) error {
	if err == nil {
		return nil
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return &fs.PathError{Op: "write", Path: path, Err: errno}
	}
	return fmt.Errorf("%s: %w", path, err)
}

// pending are temporary files and directories, to be removed also where a
// signal ends the program.
var pending = struct {
	sync.Mutex
	paths map[string]bool
}{paths: map[string]bool{}}

// remember returns a function that removes path, unless it went to its place.
func remember(path string) (forget func()) {
	pending.Lock()
	defer pending.Unlock()
	pending.paths[path] = true
	return func() {
		pending.Lock()
		defer pending.Unlock()
		os.RemoveAll(path)
		delete(pending.paths, path)
	}
}

// removePending leaves the lock taken: nothing is written any more.
func removePending() {
	pending.Lock()
	for path := range pending.paths {
		os.RemoveAll(path)
	}
}
