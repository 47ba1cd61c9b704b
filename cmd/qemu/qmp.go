// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"
)

// monitor talks to QEMU's monitor, in QMP (docs/interop/qmp-spec.txt of QEMU).
type monitor struct {
	link  net.Conn
	lines *bufio.Scanner
}

// monitorPatience is how long an answer may take.
const monitorPatience = 2 * time.Minute

// refusal is an error that QEMU has answered with.
type refusal struct {
	Class string `json:"class"`
	Desc  string `json:"desc"`
}

func (r *refusal) Error() string { return r.Desc }

// dialMonitor connects to a monitor's socket and leaves the negotiation mode.
func dialMonitor(path string) (*monitor, error) {
	link, err := dial(path)
	if err != nil {
		return nil, err
	}
	m := &monitor{link: link, lines: bufio.NewScanner(link)}
	m.lines.Buffer(nil, 16<<20)
	if _, err := m.reply(); err != nil { // the greeting has no "return", and is an answer all the same
		link.Close()
		return nil, err
	}
	if _, err := m.execute("qmp_capabilities", nil); err != nil {
		link.Close()
		return nil, err
	}
	return m, nil
}

// dial connects to a socket that QEMU is about to make.
func dial(path string) (net.Conn, error) {
	for limit := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		link, err := net.Dial("unix", path)
		if err == nil || time.Now().After(limit) {
			return link, err
		}
	}
}

// execute gives a command and returns what it returns; a *refusal where QEMU
// says no.
func (m *monitor) execute(command string, arguments any) (json.RawMessage, error) {
	question := map[string]any{"execute": command}
	if arguments != nil {
		question["arguments"] = arguments
	}
	text, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	if err := m.link.SetDeadline(time.Now().Add(monitorPatience)); err != nil {
		return nil, err
	}
	if _, err := m.link.Write(append(text, '\n')); err != nil {
		return nil, err
	}
	answer, err := m.reply()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	return answer, nil
}

func (m *monitor) reply() (json.RawMessage, error) {
	for m.lines.Scan() {
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  *refusal        `json:"error"`
			Event  string          `json:"event"`
		}
		if err := json.Unmarshal(m.lines.Bytes(), &answer); err != nil {
			return nil, err
		}
		switch {
		case answer.Event != "":
		case answer.Error != nil:
			return nil, answer.Error
		default:
			return answer.Return, nil
		}
	}
	if err := m.lines.Err(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("the monitor was closed")
}

// human gives a command of the human monitor and returns what it prints.
func (m *monitor) human(command string) (string, error) {
	answer, err := m.execute("human-monitor-command", map[string]string{"command-line": command})
	if err != nil {
		return "", err
	}
	var text string
	if err := json.Unmarshal(answer, &text); err != nil {
		return "", err
	}
	return strings.TrimSpace(text), nil
}

func (m *monitor) close() { m.link.Close() }
