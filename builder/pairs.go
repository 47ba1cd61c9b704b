// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// ObjectPair is one translation unit before and after the fix. Orig is nil for
// a unit that only the fixed side has.
type ObjectPair struct {
	Name        string // as it is shown, relative to the two trees
	Orig, Fixed []byte
}

// maxInput bounds what is read of one object or archive.
const maxInput = 1 << 30

// ReadPairs reads what orig and fixed name: two objects, two archives, or two
// trees, whose objects and archives are paired by their relative path. Pairs
// with equal contents are left out. missing are objects that only orig has.
func ReadPairs(orig, fixed string) (pairs []ObjectPair, missing []string, err error) {
	infoO, err := os.Stat(orig)
	if err != nil {
		return nil, nil, err
	}
	infoF, err := os.Stat(fixed)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case infoO.IsDir() != infoF.IsDir():
		return nil, nil, fmt.Errorf("%s and %s: one is a directory and the other is not", orig, fixed)
	case !infoO.IsDir():
		return pairFiles(filepath.Base(fixed), orig, fixed)
	}
	names := map[string]bool{}
	for _, root := range []string{orig, fixed} {
		if err := listObjects(root, names); err != nil {
			return nil, nil, err
		}
	}
	for _, name := range sortedKeys(names) {
		ps, ms, err := pairFiles(name, filepath.Join(orig, name), filepath.Join(fixed, name))
		if err != nil {
			return nil, nil, err
		}
		pairs, missing = append(pairs, ps...), append(missing, ms...)
	}
	return pairs, missing, nil
}

func listObjects(root string, names map[string]bool) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ext := filepath.Ext(path); d.Type().IsRegular() && (ext == ".o" || ext == ".a" || ext == ".lo" || ext == ".os") {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			names[rel] = true
		}
		return nil
	})
}

// pairFiles pairs one path; either file may be missing in a tree.
func pairFiles(name, orig, fixed string) ([]ObjectPair, []string, error) {
	o, err := readLimited(orig)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	f, err := readLimited(fixed)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, []string{name}, nil
	} else if err != nil {
		return nil, nil, err
	}
	if o != nil && bytes.Equal(o, f) {
		return nil, nil, nil
	}
	if !bytes.HasPrefix(f, []byte(arMagic)) {
		if bytes.HasPrefix(f, []byte(thinMagic)) {
			return nil, nil, fmt.Errorf("%s: a thin archive; give the objects", fixed)
		}
		return []ObjectPair{{name, o, f}}, nil, nil
	}
	return pairMembers(name, o, f)
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxInput+1))
	if err == nil && len(data) > maxInput {
		err = fmt.Errorf("%s: more than %d bytes", path, maxInput)
	}
	if data == nil {
		data = []byte{}
	}
	return data, err
}

const (
	arMagic   = "!<arch>\n"
	thinMagic = "!<thin>\n"
)

// pairMembers pairs the members of two archives by name; the second of a name
// with the second of that name.
func pairMembers(name string, o, f []byte) (pairs []ObjectPair, missing []string, err error) {
	old := map[string][]byte{}
	if o != nil {
		members, err := readArchive(o)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: original: %w", name, err)
		}
		for _, m := range members {
			old[m.name] = m.data
		}
	}
	members, err := readArchive(f)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: fixed: %w", name, err)
	}
	for _, m := range members {
		data, had := old[m.name]
		delete(old, m.name)
		if had && bytes.Equal(data, m.data) || !bytes.HasPrefix(m.data, []byte("\x7fELF")) {
			continue
		}
		pairs = append(pairs, ObjectPair{fmt.Sprintf("%s(%s)", name, m.name), data, m.data})
	}
	for _, gone := range sortedKeys(old) {
		missing = append(missing, fmt.Sprintf("%s(%s)", name, gone))
	}
	sort.SliceStable(pairs, func(i, j int) bool { return pairs[i].Name < pairs[j].Name })
	return pairs, missing, nil
}

type member struct {
	name string
	data []byte
}

// readArchive lists the members of an ar archive in GNU's or BSD's form.
func readArchive(data []byte) ([]member, error) {
	const header = 60
	if !bytes.HasPrefix(data, []byte(arMagic)) {
		return nil, errors.New("not an archive")
	}
	var out []member
	var long []byte
	seen := map[string]int{}
	for at := len(arMagic); at < len(data); {
		if len(data)-at < header || string(data[at+58:at+60]) != "`\n" {
			return nil, fmt.Errorf("malformed member at %#x", at)
		}
		name := strings.TrimRight(string(data[at:at+16]), " ")
		size, err := strconv.Atoi(strings.TrimRight(string(data[at+48:at+58]), " "))
		if err != nil || size < 0 || size > len(data)-at-header {
			return nil, fmt.Errorf("malformed size of the member at %#x", at)
		}
		body := data[at+header : at+header+size]
		at += header + size + size&1
		switch {
		case name == "/" || name == "/SYM64/" || name == "__.SYMDEF":
			continue
		case name == "//":
			long = body
			continue
		case strings.HasPrefix(name, "#1/"):
			n, err := strconv.Atoi(name[3:])
			if err != nil || n < 0 || n > len(body) {
				return nil, fmt.Errorf("malformed name %q", name)
			}
			name, body = strings.TrimRight(string(body[:n]), "\x00"), body[n:]
		case strings.HasPrefix(name, "/"):
			n, err := strconv.Atoi(name[1:])
			if err != nil || n < 0 || n >= len(long) {
				return nil, fmt.Errorf("malformed name %q", name)
			}
			name, _, _ = strings.Cut(string(long[n:]), "\n")
		}
		name = strings.TrimSuffix(name, "/")
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s#%d", name, seen[name])
		}
		out = append(out, member{name, body})
	}
	return out, nil
}
