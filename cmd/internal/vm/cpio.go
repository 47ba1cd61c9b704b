// SPDX-License-Identifier: GPL-2.0-or-later

package vm

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Archive is an initramfs under construction: an uncompressed cpio archive of
// the format newc (the kernel's Documentation/driver-api/early-userspace). Names
// in it are absolute, parents are made as needed, a name that is there already is
// left as it is.
type Archive struct {
	out   bytes.Buffer
	inode int
	seen  map[string]bool

	// Libraries are the folders in which interpreters and libraries of programs
	// are searched that File puts in.
	Libraries []string
}

// The bits of st_mode for the kinds of files.
const (
	modeCharacterDevice = 0o020000
	modeDirectory       = 0o040000
	modeRegular         = 0o100000
	modeLink            = 0o120000
)

// NewArchive returns an archive that a kernel can start: before /init has mounted
// anything, its input and output is /dev/console.
func NewArchive(libraries []string) *Archive {
	a := &Archive{seen: map[string]bool{"/": true}, Libraries: libraries}
	a.Dir("/dev")
	a.entry("/dev/console", modeCharacterDevice|0o600, 5, 1, nil)
	return a
}

// Dir puts in a folder.
func (a *Archive) Dir(name string) { a.entry(name, modeDirectory|0o755, 0, 0, nil) }

// Data puts in a file with the given contents and permissions.
func (a *Archive) Data(name string, mode fs.FileMode, data []byte) {
	a.entry(name, modeRegular|uint32(mode.Perm()), 0, 0, data)
}

// Link puts in a symbolic link.
func (a *Archive) Link(name, target string) { a.entry(name, modeLink|0o777, 0, 0, []byte(target)) }

// File puts a file or folder of the host in under a name, and with each dynamic
// program its interpreter and what libraries it needs.
func (a *Archive) File(source, name string) error {
	source, err := filepath.EvalSymlinks(source)
	if err != nil {
		return err
	}
	return filepath.WalkDir(source, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(source, file)
		if err != nil {
			return err
		}
		to := path.Join(name, filepath.ToSlash(relative))
		info, err := os.Stat(file) // what a link leads to
		if err != nil {
			return err
		}
		if info.IsDir() {
			if !entry.IsDir() && file != source {
				return fmt.Errorf("%s: a link to a folder", file)
			}
			a.Dir(to)
			return nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		a.Data(to, info.Mode(), data)
		if err := a.needs(data); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		return nil
	})
}

// WriteTo ends the archive and writes it.
func (a *Archive) WriteTo(w io.Writer) (int64, error) {
	a.record("TRAILER!!!", 0, 0, 0, nil)
	return a.out.WriteTo(w)
}

func (a *Archive) entry(name string, mode uint32, major, minor int, data []byte) {
	name = path.Clean("/" + name)
	if a.seen[name] {
		return
	}
	a.Dir(path.Dir(name))
	a.seen[name] = true
	a.record(strings.TrimPrefix(name, "/"), mode, major, minor, data)
}

func (a *Archive) record(name string, mode uint32, major, minor int, data []byte) {
	a.inode++
	const owner, group, links, time, checksum = 0, 0, 1, 0, 0
	a.out.WriteString("070701")
	for _, field := range []int{a.inode, int(mode), owner, group, links, time, len(data), 0, 0, major, minor, len(name) + 1, checksum} {
		fmt.Fprintf(&a.out, "%08X", field)
	}
	a.out.WriteString(name + "\x00")
	a.align()
	a.out.Write(data)
	a.align()
}

func (a *Archive) align() {
	for a.out.Len()%4 != 0 {
		a.out.WriteByte(0)
	}
}
