// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/cmd/qemu/talk"
)

// configure gives a network card an address in a network of 256, or none, and
// switches it on.
func configure(name, address string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	set := func(request uint, put func(r *unix.Ifreq) error) error {
		r, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if err := put(r); err != nil {
			return err
		}
		return unix.IoctlIfreq(s, request, r)
	}
	if address != "" {
		if err := set(unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(net.ParseIP(address).To4()) }); err != nil {
			return err
		}
		if err := set(unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 255, 0}) }); err != nil {
			return err
		}
	}
	return set(unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error {
		r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		return nil
	})
}

// speak brings the network card with a hardware address up, with packets of a
// size.
func speak(mac, mtu string) error {
	for limit := time.Now().Add(driversAppear); ; time.Sleep(50 * time.Millisecond) {
		files, err := filepath.Glob("/sys/class/net/*/address")
		if err != nil {
			return err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil || strings.TrimSpace(string(text)) != mac {
				continue
			}
			if err := os.WriteFile(filepath.Join(filepath.Dir(file), "mtu"), []byte(mtu), 0); err != nil {
				return err
			}
			return configure(filepath.Base(filepath.Dir(file)), "")
		}
		if time.Now().After(limit) {
			return fmt.Errorf("no network card %s", mac)
		}
	}
}

// features reads which features a virtio device on PCI offers.
func features(address string) (bits string, err error) {
	for limit := time.Now().Add(driversAppear); ; time.Sleep(50 * time.Millisecond) {
		files, err := filepath.Glob("/sys/bus/pci/devices/" + address + "/virtio*/features")
		if err != nil {
			return "", err
		}
		if len(files) == 1 {
			text, err := os.ReadFile(files[0])
			return strings.TrimSpace(string(text)), err
		}
		if time.Now().After(limit) {
			return "", fmt.Errorf("%d virtio devices at %s", len(files), address)
		}
	}
}

// conn sends data to the host's echo server and wants it back.
type conn struct {
	address string
	pattern uint64
	sent    uint64
}

const (
	perConnection = 64       // messages, then a new connection is made
	largest       = 48 << 10 // bytes
)

func (c *conn) run(l *load) {
	for {
		if err := c.once(l); err != nil {
			l.wrong(fmt.Errorf("network: %w", err))
			time.Sleep(100 * time.Millisecond)
		}
	}
}

func (c *conn) once(l *load) error {
	link, err := net.DialTimeout("tcp", c.address, time.Minute)
	if err != nil {
		return err
	}
	defer link.Close()
	message, echo := make([]byte, largest), make([]byte, largest)
	for range perConnection {
		n := 1 + rand.IntN(largest)
		c.sent++
		fill(message[:n], c.pattern<<56|c.sent)
		start := time.Now()
		if err := link.SetDeadline(start.Add(time.Minute)); err != nil {
			return err
		}
		written := make(chan error, 1)
		go func() {
			_, err := link.Write(message[:n])
			written <- err
		}()
		_, err := io.ReadFull(link, echo[:n])
		if err := errors.Join(err, <-written); err != nil {
			return err
		}
		if !bytes.Equal(message[:n], echo[:n]) {
			return fmt.Errorf("message %d of %d bytes came back as another", c.sent, n)
		}
		took := time.Since(start)
		l.did(func(t *talk.Counters) {
			t.NetOps++
			t.NetBytes += 2 * int64(n)
			t.NetUS = max(t.NetUS, took.Microseconds())
		})
		time.Sleep(breath)
	}
	return nil
}
