// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/cmd/qemu/talk"
)

const (
	blockSize = 32 << 10 // bytes
	blocks    = 256      // of each worker
	spread    = 64       // only one block in so many of the disk is used, so that new clusters are needed
	breath    = 5 * time.Millisecond
)

// disk writes and reads back its own blocks of a disk, past the guest's cache. It
// knows what each of them holds.
type disk struct {
	path        string
	file        *os.File
	buf, want   []byte
	number      uint64
	worker      int
	workers     int
	generations [blocks]uint64 // 0: the block was zeroed
	known       [blocks]bool
	verify      chan chan<- error
}

func openDisk(path string, number uint64, worker, workers int) (*disk, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return nil, err
	}
	// Pages of their own are as aligned as the kernel wants them.
	buf, err := unix.Mmap(-1, 0, blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, err
	}
	return &disk{
		path: path, file: f, buf: buf, want: make([]byte, blockSize),
		number: number, worker: worker, workers: workers, verify: make(chan chan<- error),
	}, nil
}

func (d *disk) run(l *load) {
	for {
		select {
		case done := <-d.verify:
			done <- d.readAll(l)
		case <-time.After(breath):
			if err := d.step(l); err != nil {
				l.wrong(err)
			}
		}
	}
}

// step does one thing to one block.
func (d *disk) step(l *load) error {
	i := rand.IntN(blocks)
	switch n := rand.IntN(100); {
	case n < 50 || !d.known[i]:
		return d.write(l, i)
	case n < 90:
		return d.read(l, i)
	case n < 97:
		return d.zero(l, i)
	default:
		return d.timed(l, 0, d.file.Sync)
	}
}

func (d *disk) offset(i int) int64 {
	return (int64(i*d.workers+d.worker)*spread + int64(i%spread)) * blockSize
}

// pattern is what a block holds in a generation: another one's contents, or that
// of another time, are told from it.
func (d *disk) pattern(i int) {
	if d.generations[i] == 0 {
		clear(d.want)
		return
	}
	fill(d.want, d.number<<56|uint64(d.worker)<<48|uint64(i)<<32|d.generations[i])
}

func (d *disk) write(l *load, i int) error {
	d.generations[i]++
	d.known[i] = false
	d.pattern(i)
	copy(d.buf, d.want)
	err := d.timed(l, blockSize, func() error {
		_, err := d.file.WriteAt(d.buf, d.offset(i))
		return err
	})
	d.known[i] = err == nil
	return err
}

func (d *disk) read(l *load, i int) error {
	clear(d.buf)
	err := d.timed(l, blockSize, func() error {
		_, err := d.file.ReadAt(d.buf, d.offset(i))
		return err
	})
	if err != nil {
		return err
	}
	d.pattern(i)
	if !bytes.Equal(d.buf, d.want) {
		d.known[i] = false
		return fmt.Errorf("%s: block %d of worker %d at %#x is not what was written in generation %d",
			d.path, i, d.worker, d.offset(i), d.generations[i])
	}
	return nil
}

func (d *disk) zero(l *load, i int) error {
	d.known[i] = false
	err := d.timed(l, blockSize, func() error {
		return unix.Fallocate(int(d.file.Fd()), unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, d.offset(i), blockSize)
	})
	if err != nil {
		return err
	}
	d.generations[i], d.known[i] = 0, true
	return nil
}

// readAll reads back every block that was written.
func (d *disk) readAll(l *load) error {
	for i := range blocks {
		if !d.known[i] {
			continue
		}
		if err := d.read(l, i); err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) timed(l *load, size int64, request func() error) error {
	start := time.Now()
	err := request()
	took := time.Since(start)
	if err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	l.did(func(c *talk.Counters) {
		c.DiskOps++
		c.DiskBytes += size
		c.DiskUS = max(c.DiskUS, took.Microseconds())
	})
	return nil
}
