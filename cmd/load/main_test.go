// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// serve answers each line with what answer makes of its number, from 1.
func serve(t *testing.T, answer func(n int64) string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	var questions atomic.Int64
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				lines := bufio.NewScanner(connection)
				for lines.Scan() {
					fmt.Fprintln(connection, answer(questions.Add(1)))
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func ask(address string, connections int, d time.Duration) seen {
	stop := make(chan struct{})
	time.AfterFunc(d, func() { close(stop) })
	return clients{address: address, question: "Q", answer: "A"}.run(connections, stop)
}

func TestSilence(t *testing.T) {
	const pause = 150 * time.Millisecond
	got := ask(serve(t, func(n int64) string {
		if n == 20 {
			time.Sleep(pause)
		}
		return "A"
	}), 1, 2*pause)
	if got.errors != 0 || got.answers < 20 {
		t.Errorf("got %v", got)
	}
	if got.silence < pause || got.slowest < pause {
		t.Errorf("a pause of %v is not seen: %v", pause, got)
	}
}

func TestOneSlowClientIsNoSilence(t *testing.T) {
	const wait = 300 * time.Millisecond
	got := ask(serve(t, func(n int64) string {
		if n == 20 {
			time.Sleep(wait)
			return "A"
		}
		time.Sleep(time.Millisecond)
		return "A"
	}), 4, 2*wait)
	if got.errors != 0 || got.slowest < wait || got.silence >= wait {
		t.Errorf("got %v", got)
	}
}

func TestWrongAnswer(t *testing.T) {
	got := ask(serve(t, func(n int64) string {
		if n == 20 {
			return "B"
		}
		return "A"
	}), 2, 200*time.Millisecond)
	if got.errors != 1 || got.first == nil || got.answers < 19 {
		t.Errorf("got %v", got)
	}
}

func TestNobodyListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	if got := ask(address, 3, time.Second); got.errors != 3 || got.answers != 0 {
		t.Errorf("got %v", got)
	}
}
