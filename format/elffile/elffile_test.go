// SPDX-License-Identifier: GPL-2.0-or-later

package elffile

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

const source = `
#include <stdio.h>
int answer = 42;
int main(void) { return printf("%d\n", answer); }
`

const buildID = "0123456789abcdef0123456789abcdef01234567"

// build compiles the source; args say how.
func build(t testing.TB, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	args = append(args, "-o", path, "-x", "c", "-")
	cmd := exec.Command("gcc", args...)
	cmd.Stdin = strings.NewReader(source)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v: %s", err, out)
	}
	return path
}

func image(t testing.TB) string { return build(t, "-g", "-Wl,--build-id=0x"+buildID) }

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func symbol(t *testing.T, f *File, name string) elf.Symbol {
	t.Helper()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no symbol %q", name)
	return elf.Symbol{}
}

func TestImage(t *testing.T) {
	path := image(t)
	f := open(t, path)
	if id, err := f.BuildID(); err != nil || id != buildID {
		t.Errorf("build-id %q, %v", id, err)
	}
	answer := symbol(t, f, "answer")
	if data, err := f.Bytes(arch.Addr(answer.Value), answer.Size); err != nil || !bytes.Equal(data, []byte{42, 0, 0, 0}) {
		t.Errorf("answer: % x, %v", data, err)
	}
	if _, err := f.Bytes(arch.Addr(answer.Value), 1<<40); err == nil {
		t.Error("more bytes than the segment has")
	}
	if _, err := f.Bytes(1<<60, 1); err == nil {
		t.Error("an address that is nowhere")
	}
	if names, err := f.DynString(elf.DT_NEEDED); err != nil || len(names) != 1 || names[0] != "libc.so.6" {
		t.Errorf("needed %q, %v", names, err)
	}
	dynamic, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, s := range dynamic {
		found = found || s.Name == "printf" && strings.HasPrefix(s.Version, "GLIBC_")
	}
	if !found {
		t.Errorf("no printf with its version in %v", dynamic)
	}
	text, ok := f.Section(".text")
	if !ok {
		t.Fatal("no .text")
	}
	if data, err := f.Data(text); err != nil || uint64(len(data)) != text.Size {
		t.Errorf(".text: %d bytes, %v", len(data), err)
	}
	bss, ok := f.Section(".bss")
	if !ok {
		t.Fatal("no .bss")
	}
	if _, err := f.Data(bss); err == nil {
		t.Error("content of .bss")
	}
}

// Separate debug files have the build-id in their sections, and program headers
// of bytes that they do not have.
func TestDebugFile(t *testing.T) {
	path := image(t)
	debug := path + ".debug"
	if out, err := exec.Command("objcopy", "--only-keep-debug", path, debug).CombinedOutput(); err != nil {
		t.Fatalf("objcopy: %v: %s", err, out)
	}
	f := open(t, debug)
	if id, err := f.BuildID(); err != nil || id != buildID {
		t.Errorf("build-id %q, %v", id, err)
	}
	symbol(t, f, "answer")
}

func TestStripped(t *testing.T) {
	f := open(t, build(t, "-s", "-Wl,--build-id=none"))
	if id, err := f.BuildID(); !errors.Is(err, ErrNoBuildID) {
		t.Errorf("build-id %q, %v", id, err)
	}
	if symbols, err := f.Symbols(); err != nil || len(symbols) != 0 {
		t.Errorf("%d symbols, %v", len(symbols), err)
	}
}

func TestCompressed(t *testing.T) {
	path := build(t, "-g", "-gz=zlib", "-c")
	f := open(t, path)
	s, ok := f.Section(".debug_info")
	if !ok || s.Flags&elf.SHF_COMPRESSED == 0 {
		t.Fatalf("no compressed section: %v", f.Sections)
	}
	if data, err := f.Data(s); err != nil || uint64(len(data)) != s.Size {
		t.Errorf("%d of %d bytes, %v", len(data), s.Size, err)
	}
	bomb := read(t, path)
	binary.LittleEndian.PutUint64(bomb[s.Offset+8:], MaxUncompressed+1)
	if f, err := New(bytes.NewReader(bomb), int64(len(bomb))); err == nil {
		s, _ := f.Section(".debug_info")
		if _, err := f.Data(s); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("a section that unfolds beyond the limit: %v", err)
		}
	} else {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	good := read(t, build(t, "-c"))
	headers := binary.LittleEndian.Uint64(good[40:])
	for name, change := range map[string]func(data []byte) []byte{
		"empty":          func(d []byte) []byte { return nil },
		"short":          func(d []byte) []byte { return d[:63] },
		"text":           func(d []byte) []byte { return bytes.Repeat([]byte("text"), 100) },
		"32-bit":         func(d []byte) []byte { d[4] = 1; return d },
		"big-endian":     func(d []byte) []byte { d[5] = 2; return d },
		"headers beyond": func(d []byte) []byte { binary.LittleEndian.PutUint64(d[40:], 1<<63); return d },
		"half":           func(d []byte) []byte { return d[:len(d)/2] },
		"many headers": func(d []byte) []byte {
			binary.LittleEndian.PutUint16(d[60:], 0)
			binary.LittleEndian.PutUint64(d[headers+32:], 1<<40)
			return d
		},
		"section beyond": func(d []byte) []byte {
			binary.LittleEndian.PutUint64(d[headers+shdrSize+32:], uint64(len(d)))
			return d
		},
		"section wraps": func(d []byte) []byte {
			binary.LittleEndian.PutUint64(d[headers+shdrSize+24:], 1<<63)
			binary.LittleEndian.PutUint64(d[headers+shdrSize+32:], 1<<63)
			return d
		},
		"segments beyond": func(d []byte) []byte {
			binary.LittleEndian.PutUint16(d[54:], phdrSize)
			binary.LittleEndian.PutUint16(d[56:], 60000)
			return d
		},
	} {
		data := change(bytes.Clone(good))
		if f, err := New(bytes.NewReader(data), int64(len(data))); err == nil {
			t.Errorf("%s: accepted: %v", name, f.FileHeader)
		}
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("a directory was accepted")
	}
}

func TestNotesBuildID(t *testing.T) {
	note := func(name string, typ uint32, desc []byte, align int) []byte {
		pad := func(b []byte) []byte {
			for len(b)%align != 0 {
				b = append(b, 0)
			}
			return b
		}
		var b []byte
		b = binary.LittleEndian.AppendUint32(b, uint32(len(name)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(desc)))
		b = binary.LittleEndian.AppendUint32(b, typ)
		return pad(append(pad(append(b, name...)), desc...))
	}
	property := note("GNU\x00", 5, make([]byte, 12), 8)
	id := note("GNU\x00", 3, []byte{0xde, 0xad, 0xbe, 0xef}, 4)
	for name, c := range map[string]struct {
		notes []byte
		align uint64
		want  string
		err   error
	}{
		"alone":           {id, 4, "deadbeef", nil},
		"without align":   {id, 0, "deadbeef", nil},
		"after others":    {append(note("FDO\x00", 3, []byte("x"), 4), id...), 4, "deadbeef", nil},
		"behind property": {append(bytes.Clone(property), note("GNU\x00", 3, []byte{1, 2, 3, 4, 5, 6, 7, 8}, 8)...), 8, "0102030405060708", nil},
		"none":            {property, 8, "", ErrNoBuildID},
		"no notes":        {nil, 4, "", ErrNoBuildID},
		"another's":       {note("Go\x00\x00", 3, []byte("x"), 4), 4, "", ErrNoBuildID},
		"empty":           {note("GNU\x00", 3, nil, 4), 4, "", errNotes},
		"cut short":       {id[:len(id)-1], 4, "", errNotes},
		"header short":    {id[:11], 4, "", errNotes},
		"name too long":   {[]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x03\x00\x00\x00GNU\x00"), 4, "", errNotes},
	} {
		got, err := NotesBuildID(c.notes, c.align)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// Whatever the file: no panic, and no more memory than a multiple of it.
func FuzzFile(f *testing.F) {
	f.Add(read(f, build(f, "-c")))
	f.Add(read(f, build(f, "-s", "-nostdlib", "-r")))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := New(bytes.NewReader(data), int64(len(data)))
		if (err == nil) != (file != nil) {
			t.Fatalf("result %v with error %v", file, err)
		}
		if err != nil {
			return
		}
		for _, s := range file.Sections {
			if got, err := file.Data(s); err == nil && s.Flags&elf.SHF_COMPRESSED == 0 && len(got) > len(data) {
				t.Fatalf("section of %d bytes in a file of %d", len(got), len(data))
			}
		}
		for _, p := range file.Progs {
			file.ProgData(p)
			file.Bytes(arch.Addr(p.Vaddr), p.Filesz)
		}
		file.Symbols()
		file.DynamicSymbols()
		file.BuildID()
		file.DynValue(elf.DT_FLAGS)
		file.DynString(elf.DT_NEEDED)
	})
}
