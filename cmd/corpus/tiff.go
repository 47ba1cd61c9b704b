// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// tiffTools read two images and write one. They are kept alive by write leases
// on both: open blocks until we give the lease up (fcntl(2), F_SETLEASE). The
// first image is read while the tool is patched, the second at the end.
var tiffTools = service{images: []string{"tiffcrop", "tiffcp"}, start: func(ctx context.Context, at place) (*instance, error) {
	var leases []*lease
	for _, name := range []string{"a.tif", "b.tif"} {
		path, err := at.write(name, sampleTIFF())
		if err != nil {
			return nil, err
		}
		leases = append(leases, &lease{path: path})
	}
	first, second := leases[0], leases[1]
	arguments := func(output string) []string {
		if filepath.Base(at.image) == "tiffcrop" {
			return []string{"-c", "lzw", "-U", "px", "-m", "1,1,1,1", "-R", "90", "-i", first.path, second.path, output}
		}
		return []string{"-c", "lzw", "-s", "-r", "3", first.path, second.path, output}
	}

	// What the tool writes where nobody disturbs it.
	wanted, output := filepath.Join(at.dir, "wanted.tif"), filepath.Join(at.dir, "output.tif")
	if text, err := exec.CommandContext(ctx, at.image, arguments(wanted)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(string(text)))
	}

	if err := errors.Join(first.take(), second.take()); err != nil {
		return nil, err
	}
	d, err := launch(at.dir, filepath.Base(at.image), nil, nil, at.image, arguments(output)...)
	if err != nil {
		return nil, err
	}
	var waitsFor atomic.Pointer[lease] // nil when the tool is at work
	waitsFor.Store(first)
	return &instance{
		daemon: d,
		probe: func() error {
			if err := d.ended(); err != nil {
				return err
			}
			if l := waitsFor.Load(); l != nil {
				return l.wanted()
			}
			return nil
		},
		step: func(ctx context.Context) error {
			waitsFor.Store(nil)
			first.release()
			return d.eventually(ctx, second.wanted)
		},
		stop: func() error {
			first.release()
			second.release()
			if err := d.wait(seconds(20)); err != nil {
				return err
			}
			return sameContent(wanted, output)
		},
	}, nil
}}

func sameContent(wanted, output string) error {
	a, errA := os.ReadFile(wanted)
	b, errB := os.ReadFile(output)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if len(a) == 0 || !bytes.Equal(a, b) {
		return fmt.Errorf("%s differs from what the tool writes undisturbed", output)
	}
	return nil
}

// lease keeps other processes from opening a file.
type lease struct {
	path string
	lock sync.Mutex
	file *os.File // nil when there is no lease
}

func (l *lease) take() (err error) {
	if l.file, err = os.OpenFile(l.path, os.O_RDWR, 0); err != nil {
		return err
	}
	if _, err = unix.FcntlInt(l.file.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		return fmt.Errorf("lease on %s: %w", l.path, err)
	}
	return nil
}

// wanted returns nil once somebody waits to open the file.
func (l *lease) wanted() error {
	l.lock.Lock()
	defer l.lock.Unlock()
	kind, err := unix.FcntlInt(l.file.Fd(), unix.F_GETLEASE, 0)
	if err == nil && kind == unix.F_WRLCK {
		err = fmt.Errorf("%s: nobody opens it", l.path)
	}
	return err
}

func (l *lease) release() {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.file != nil {
		_, _ = unix.FcntlInt(l.file.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
		_ = l.file.Close()
		l.file = nil
	}
}

// sampleTIFF is a grey image of 64 x 64 pixels in strips of 8 rows.
func sampleTIFF() string {
	const side, rows, header = 64, 8, 8
	const strips = side / rows
	type entry struct {
		Tag, Type    uint16
		Count, Value uint32
	}
	const short, long = 3, 4
	const pixels = header
	const offsets = pixels + side*side
	const sizes = offsets + 4*strips
	const directory = sizes + 4*strips
	entries := []entry{
		{256, short, 1, side}, // width
		{257, short, 1, side}, // length
		{258, short, 1, 8},    // bits per sample
		{259, short, 1, 1},    // uncompressed
		{262, short, 1, 1},    // black is zero
		{273, long, strips, offsets},
		{277, short, 1, 1},    // samples per pixel
		{278, short, 1, rows}, // rows per strip
		{279, long, strips, sizes},
		{284, short, 1, 1}, // contiguous
	}

	image := make([]byte, 0, 2*side*side)
	little := binary.LittleEndian
	image = append(image, "II*\x00"...)
	image = little.AppendUint32(image, directory)
	for i := range side * side {
		image = append(image, byte(i%side+i/side))
	}
	for i := range uint32(strips) {
		image = little.AppendUint32(image, pixels+i*rows*side)
	}
	for range strips {
		image = little.AppendUint32(image, rows*side)
	}
	image = little.AppendUint16(image, uint16(len(entries)))
	for _, e := range entries {
		image, _ = binary.Append(image, little, e)
	}
	return string(little.AppendUint32(image, 0))
}
