// SPDX-License-Identifier: GPL-2.0-or-later

// Command guest is the first process of the guest in which QEMU is tested. It
// loads the drivers, puts disks and network under a load that checks itself, and
// answers the runner's questions (see package talk) on the second serial line.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/cmd/qemu/talk"
)

const (
	control       = "/dev/ttyS1"
	networkConns  = 2
	driversAppear = 30 * time.Second
)

func main() {
	if err := run(); err != nil {
		fmt.Println("guest: error:", err)
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func run() error {
	if err := mounts(); err != nil {
		return err
	}
	if err := loadModules(); err != nil {
		return err
	}
	words, err := commandLine()
	if err != nil {
		return err
	}
	l := &load{}
	disks, err := disks()
	if err != nil {
		return err
	}
	workers, err := strconv.Atoi(words[talk.WorkersWord])
	if err != nil {
		return fmt.Errorf("%s: %w", talk.WorkersWord, err)
	}
	for i, path := range disks {
		for n := range workers {
			d, err := openDisk(path, uint64(i), n, workers)
			if err != nil {
				return err
			}
			l.disks = append(l.disks, d)
			go d.run(l)
		}
	}
	if err := configure("eth0", talk.Address); err != nil {
		return fmt.Errorf("eth0: %w", err)
	}
	for i := range networkConns {
		c := &conn{address: talk.Gateway + ":" + words[talk.PortWord], pattern: uint64(i)}
		go c.run(l)
	}
	go l.watchClock()
	fmt.Printf("guest: %d disks, %d workers on each\n", len(disks), workers)
	return answer(l)
}

func mounts() error {
	for _, m := range []struct{ kind, at string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	return nil
}

// loadModules loads the drivers, packed or not, in the order of their names.
func loadModules() error {
	const compressed = 4 // MODULE_INIT_COMPRESSED_FILE
	files, err := filepath.Glob(talk.Modules + "/*")
	if err != nil {
		return err
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		flags := 0
		if filepath.Ext(name) != ".ko" {
			flags = compressed
		}
		err = unix.FinitModule(int(f.Fd()), "", flags)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// commandLine returns the words of the kernel's command line that have a value,
// by the part up to the equals sign.
func commandLine() (map[string]string, error) {
	text, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return nil, err
	}
	words := map[string]string{}
	for word := range strings.FieldsSeq(string(text)) {
		if key, value, ok := strings.Cut(word, "="); ok {
			words[key+"="] = value
		}
	}
	return words, nil
}

// disks waits for the disks: those of virtio and one of NVMe.
func disks() ([]string, error) {
	for limit := time.Now().Add(driversAppear); ; time.Sleep(50 * time.Millisecond) {
		virtio, err := filepath.Glob("/dev/vd?")
		if err != nil {
			return nil, err
		}
		nvme, err := filepath.Glob("/dev/nvme?n1")
		if err != nil {
			return nil, err
		}
		if len(virtio) > 0 && len(nvme) > 0 {
			return append(virtio, nvme...), nil
		}
		if time.Now().After(limit) {
			return nil, fmt.Errorf("disks: only %v %v", virtio, nvme)
		}
	}
}
