// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// service knows how one kind of image is brought to life.
type service struct {
	images []string // file names of the images that it runs
	work   string   // of the host program that a library needs, see host/
	start  func(ctx context.Context, at place) (*instance, error)
}

// services are all that we know to start, in the order in which they are needed
// by each other.
var services = []service{
	nginx, memcached, redisServer, redisCli, mosquitto, dnsmasq, qemu, tiffTools,
	expat, cjson, cjsonUtils, libtiff, libpng, libde265, libmosquitto,
}

// place is where an instance runs.
type place struct {
	dir     string // its own, absolute
	image   string // path of the image
	shared  *shared
	started []*instance // of the same case, earlier in services
}

// shared is what the cases of a run share.
type shared struct {
	bin     string // folder of ulpatch-build and ulpatch-apply
	scratch string
	hosts   string        // folder of the host programs
	cross   string        // prefix of the compiler's name, as aarch64-linux-gnu-
	key     string        // secret key; "" where all bundles are there already
	trust   string        // public key
	timeout time.Duration // of one apply or revert

	compiling sync.Mutex
}

// instance is a running image.
type instance struct {
	image   string // its file name
	daemon  *daemon
	address string // host:port, where it has one

	// probe makes one request; nil means that the answer was right.
	probe func() error
	// ask, where it is set, puts a question to the process.
	ask func(question string) (string, error)
	// step, where it is set, makes the process do its work while it is patched.
	step func(context.Context) error
	// stop ends the process; an error means that it did not end as it should.
	stop func() error
}

// startAll starts every image of a case. Those that are up are returned with
// the error, too, so that they can be killed.
func startAll(ctx context.Context, c testCase, dir string, s *shared) ([]*instance, error) {
	var started []*instance
	if len(c.images) == 0 {
		return nil, fmt.Errorf("the case has no image")
	}
	for _, path := range c.images {
		known := func(k service) bool { return slices.Contains(k.images, filepath.Base(path)) }
		if !slices.ContainsFunc(services, known) {
			return nil, fmt.Errorf("%s: no known way to start it", filepath.Base(path))
		}
	}
	for _, k := range services {
		for _, name := range k.images {
			image, ok := c.image(name)
			if !ok {
				continue
			}
			at := place{dir: filepath.Join(dir, name), image: image, shared: s, started: started}
			if err := os.MkdirAll(at.dir, 0o755); err != nil {
				return started, err
			}
			one, err := k.start(ctx, at)
			if err != nil {
				return started, fmt.Errorf("%s: %w", name, err)
			}
			one.image = name
			started = append(started, one)
			if err := one.daemon.eventually(ctx, one.probe); err != nil {
				return started, err
			}
		}
	}
	return started, nil
}

// server is an instance that answers on a loopback port, and that signal ends.
func server(at place, signal syscall.Signal, probe func(address string) error, address string, args ...string) (*instance, error) {
	d, err := launch(at.dir, filepath.Base(at.image), nil, nil, at.image, args...)
	if err != nil {
		return nil, err
	}
	return &instance{
		daemon:  d,
		address: address,
		probe:   func() error { return probe(address) },
		stop:    func() error { return d.quit(signal) },
	}, nil
}

// freePort returns a loopback port that nobody uses at this moment.
func freePort() (port, address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer listener.Close()
	address = listener.Addr().String()
	_, port, err = net.SplitHostPort(address)
	return port, address, err
}

// request sends a text and reads until the answer holds want.
func request(address, question, want string) error {
	connection, err := net.DialTimeout("tcp", address, seconds(5))
	if err != nil {
		return err
	}
	return exchange(connection, question, want)
}

// exchange is request on a connection, which it closes.
func exchange(connection net.Conn, question, want string) error {
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(seconds(5))); err != nil {
		return err
	}
	if _, err := connection.Write([]byte(question)); err != nil {
		return err
	}
	var answer []byte
	buffer := make([]byte, 4096)
	for !bytes.Contains(answer, []byte(want)) {
		n, err := connection.Read(buffer)
		if n == 0 {
			return fmt.Errorf("asked %.60q, got %.300q: %w", question, answer, err)
		}
		answer = append(answer, buffer[:n]...)
	}
	return nil
}

// write makes a file in the place's folder and returns its path.
func (p place) write(name, content string) (string, error) {
	path := filepath.Join(p.dir, name)
	return path, os.WriteFile(path, []byte(content), 0o644)
}
