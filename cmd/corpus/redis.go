// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

var redisServer = service{images: []string{"redis-server"}, start: func(_ context.Context, at place) (*instance, error) {
	port, address, err := freePort()
	if err != nil {
		return nil, err
	}
	return server(at, syscall.SIGTERM, probeRedis, address,
		"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", at.dir, "--daemonize", "no")
}}

// probeRedis stores, reads back, matches a pattern and runs a script.
func probeRedis(address string) error {
	return request(address,
		"SET probe:1 value\r\nGET probe:1\r\nKEYS probe:?\r\n"+
			"EVAL \"return redis.call('GET', KEYS[1]) .. '!'\" 1 probe:1\r\n",
		"+OK\r\n$5\r\nvalue\r\n*1\r\n$7\r\nprobe:1\r\n$6\r\nvalue!\r\n")
}

// redisCli is an interactive client that waits for its next command.
var redisCli = service{images: []string{"redis-cli"}, start: func(_ context.Context, at place) (*instance, error) {
	if len(at.started) == 0 {
		return nil, errors.New("no server to connect to")
	}
	_, port, err := net.SplitHostPort(at.started[0].address)
	if err != nil {
		return nil, err
	}
	cli, ping, err := converse(at, dialogue{question: "PING", path: at.image, args: []string{"-p", port}})
	if err != nil {
		return nil, err
	}
	cli.probe = func() error {
		answer, err := ping()
		if err == nil && answer != "PONG" {
			err = fmt.Errorf("PING: got %q", answer)
		}
		return err
	}
	return cli, nil
}}
