// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

var redisServer = service{images: []string{"redis-server"}, start: func(_ context.Context, at place) (*instance, error) {
	port, address, err := freePort()
	if err != nil {
		return nil, err
	}
	return server(at, syscall.SIGTERM, probeRedis, address,
		"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", at.dir, "--daemonize", "no")
}}

// redisCommands are what a probe asks; each is followed by a part of its answer.
// Scripts begin with a new comment each time, so that they are compiled anew.
var redisCommands = [][2]string{
	{`SCRIPT FLUSH SYNC`, "+OK"},
	{`SET probe:1 value`, "+OK"},
	{`GETEX probe:1 EX 60`, "value"},
	{`COPY probe:1 probe:2 REPLACE`, ":1"},
	{`KEYS probe:?`, "*2"},
	{`DEL probe:2`, ":1"},
	{`PFADD probe:hll a b c d e f`, ":"},
	{`PFMERGE probe:hll2 probe:hll`, "+OK"},
	{`PFCOUNT probe:hll probe:hll2`, ":6"},
	{`ACL SETUSER probe on nopass ~a* (~b* +get)`, "+OK"},
	{`ACL DRYRUN probe GET bx`, "+OK"},
	{`ACL DELUSER probe`, ":1"},
	{`FUNCTION LIST`, "*0"},
	{`EVAL "--%[1]d\nreturn redis.call('GET', KEYS[1]) .. '!'" 1 probe:1`, "value!"},
	{`EVAL "--%[1]d\nreturn {unpack({1, 2, bit.tohex(255), [[long]]})}" 0`, "000000ff"},
	{`EVAL "--%[1]d\nlocal t = {} for i = 1, 100 do t[i] = i end return #t" 0`, ":100"},
	{`EVAL "--%[1]d\nreturn redis.error_reply('ERR wanted')" 0`, "-ERR wanted"},
	{`EVAL "--%[1]d\nreturn getmetatable('').__index == string" 0`, ":1"},
	{`RPUSH probe:list a b c`, ":3"},
	{`OBJECT ENCODING probe:list`, "list"},
	{`DEL probe:list probe:hll probe:hll2`, ":3"},
	{`NOSUCHCOMMAND`, "-ERR unknown command"},
	{`PING`, "+PONG"},
}

var redisProbes atomic.Int64

// probeRedis asks one command after another on one connection.
func probeRedis(address string) error {
	connection, err := net.DialTimeout("tcp", address, seconds(5))
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(seconds(5))); err != nil {
		return err
	}
	number := redisProbes.Add(1)
	buffer := make([]byte, 4096)
	for _, command := range redisCommands {
		line := command[0]
		if strings.Contains(line, "%") {
			line = fmt.Sprintf(line, number)
		}
		if _, err := connection.Write([]byte(line + "\r\n")); err != nil {
			return err
		}
		// Short answers on the loopback device come in one piece.
		n, err := connection.Read(buffer)
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		if !bytes.Contains(buffer[:n], []byte(command[1])) {
			return fmt.Errorf("%s: got %q, not %q", line, buffer[:n], command[1])
		}
	}
	return nil
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
	cli, err := converse(at, at.image, "-p", port)
	if err != nil {
		return nil, err
	}
	cli.probe = func() error {
		answer, err := cli.ask("PING")
		if err == nil && answer != "PONG" {
			err = fmt.Errorf("PING: got %q", answer)
		}
		return err
	}
	return cli, nil
}}
