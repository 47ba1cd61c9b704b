// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"errors"
	"net"
	"path/filepath"
	"testing"
)

// fakeMonitor answers each line with the next of some texts.
func fakeMonitor(t *testing.T, answers ...string) *monitor {
	t.Helper()
	path := filepath.Join(t.TempDir(), "monitor")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		link, err := listener.Accept()
		if err != nil {
			return
		}
		defer link.Close()
		_, _ = link.Write([]byte(`{"QMP": {"version": {}, "capabilities": []}}` + "\n"))
		lines := bufio.NewScanner(link)
		for _, answer := range append([]string{`{"return": {}}`}, answers...) {
			if !lines.Scan() {
				return
			}
			_, _ = link.Write([]byte(answer + "\n"))
		}
	}()
	m, err := dialMonitor(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.close)
	return m
}

func TestMonitor(t *testing.T) {
	m := fakeMonitor(t,
		`{"event": "STOP"}`+"\n"+`{"return": [1, 2]}`,
		`{"error": {"class": "GenericError", "desc": "no such device"}}`,
		`{"return": "a line\r\n"}`,
		`{"event": "SHUTDOWN"}`)
	if got, err := m.execute("query", nil); err != nil || string(got) != "[1, 2]" {
		t.Errorf("an answer behind an event: %s, %v", got, err)
	}
	var no *refusal
	if _, err := m.execute("query", nil); !errors.As(err, &no) || no.Desc != "no such device" {
		t.Errorf("a refusal: %v", err)
	}
	if got, err := m.human("info"); err != nil || got != "a line" {
		t.Errorf("the human monitor: %q, %v", got, err)
	}
	if got, err := m.execute("quit", nil); err == nil {
		t.Errorf("a monitor that ends answers %s", got)
	}
}
