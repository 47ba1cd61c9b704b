// SPDX-License-Identifier: GPL-2.0-or-later

// Command load asks the demo server the same question over many connections at
// once and tells what its clients saw: how many answers, how many wrong ones,
// and the longest time in which nobody got any, which is what a pause of the
// server looks like from outside.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	var c clients
	flag.StringVar(&c.address, "address", "", "`HOST:PORT` of the server")
	flag.StringVar(&c.question, "ask", "GET greeting 0 12", "the `LINE` to send")
	flag.StringVar(&c.answer, "expect", "OK hello, world", "the `LINE` that has to come back")
	connections := flag.Int("connections", 16, "how many at once")
	duration := flag.Duration("duration", time.Minute, "how long; SIGTERM ends it earlier")
	flag.Parse()

	stop := make(chan struct{})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-time.After(*duration):
		}
		close(stop)
	}()

	seen := c.run(*connections, stop)
	fmt.Println(seen)
	if seen.errors > 0 || seen.answers == 0 {
		os.Exit(1)
	}
}

type clients struct {
	address, question, answer string
}

// seen is what the clients saw.
type seen struct {
	answers, errors int
	first           error         // the first of the errors
	silence         time.Duration // longest time without an answer on any connection
	slowest         time.Duration // longest time that one client waited
}

func (s seen) String() string {
	text := fmt.Sprintf("%d answers, %d errors, longest silence %.3f ms, slowest answer %.3f ms",
		s.answers, s.errors, milliseconds(s.silence), milliseconds(s.slowest))
	if s.first != nil {
		text += fmt.Sprintf("; first error: %v", s.first)
	}
	return text
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// run keeps n connections busy until stop is closed.
func (c clients) run(n int, stop <-chan struct{}) seen {
	var all seen
	var last time.Time
	var lock sync.Mutex
	answered := func(waited time.Duration) {
		now := time.Now()
		lock.Lock()
		defer lock.Unlock()
		if gap := now.Sub(last); all.answers > 0 && gap > all.silence {
			all.silence = gap
		}
		last = now
		all.answers++
		all.slowest = max(all.slowest, waited)
	}

	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			if err := c.keepAsking(stop, answered); err != nil {
				lock.Lock()
				defer lock.Unlock()
				all.errors++
				if all.first == nil {
					all.first = err
				}
			}
		})
	}
	group.Wait()
	return all
}

func (c clients) keepAsking(stop <-chan struct{}, answered func(waited time.Duration)) error {
	connection, err := net.DialTimeout("tcp", c.address, 5*time.Second)
	if err != nil {
		return err
	}
	defer connection.Close()
	lines := bufio.NewReader(connection)
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		asked := time.Now()
		if err := errors.Join(
			connection.SetDeadline(asked.Add(5*time.Second)),
			writeLine(connection, c.question)); err != nil {
			return err
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		if line != c.answer+"\n" {
			return fmt.Errorf("asked %q, got %q", c.question, line)
		}
		answered(time.Since(asked))
	}
}

func writeLine(connection net.Conn, line string) error {
	_, err := connection.Write([]byte(line + "\n"))
	return err
}
