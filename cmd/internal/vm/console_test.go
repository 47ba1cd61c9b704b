// SPDX-License-Identifier: GPL-2.0-or-later

package vm

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const word = "WORD-OF-THIS-BOOT"

// session is what a machine sends that boots, runs a program and ends.
func session(t *testing.T, output string, status int) string {
	t.Helper()
	var wire bytes.Buffer
	wire.WriteString("[ 0.1] a kernel boots\r\n")
	s, err := NewSender(&wire, word)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(output); i += 5 { // in small pieces
		if _, err := fmt.Fprint(s, output[i:min(i+5, len(output))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.End(status); err != nil {
		t.Fatal(err)
	}
	wire.WriteString("[ 9.9] reboot: Power down\r\n")
	return wire.String()
}

// receive takes what came over a wire, in pieces of a size.
func receive(wire string, piece int) (output, rest string, status int, err error) {
	var out, other strings.Builder
	r := NewReceiver(&out, &other, word)
	for len(wire) > 0 {
		n := min(piece, len(wire))
		if _, err := r.Write([]byte(wire[:n])); err != nil {
			return "", "", 0, err
		}
		wire = wire[n:]
	}
	status, err = r.Status()
	return out.String(), other.String(), status, err
}

func TestConsole(t *testing.T) {
	for _, output := range []string{"", "x", "x\n", "\n", "\n\n", "one\ntwo", "one\n\ntwo\n\n", "bare\rreturn\r\n\x00\xff\n", word + "\n", word + " begin\n", "a " + word + " end status=0\n"} {
		for _, piece := range []int{1, 2, 7, 1 << 20} {
			got, rest, status, err := receive(session(t, output, 42), piece)
			if err != nil || status != 42 || got != output {
				t.Errorf("%q in pieces of %d: %q, status %d, %v", output, piece, got, status, err)
			}
			if !strings.Contains(rest, "a kernel boots\n") || !strings.Contains(rest, "Power down\n") {
				t.Errorf("%q: the rest is %q", output, rest)
			}
		}
	}
}

// TestGarbledConsole: whatever is lost, changed or comes in between, there is no
// status.
func TestGarbledConsole(t *testing.T) {
	const output = "--- PASS: TestOne\nPASS\n"
	wire := session(t, output, 0)
	begin, end := strings.Index(wire, word), strings.Index(wire, "[ 9.9]")
	for at := begin; at < end; at++ {
		for name, garbled := range map[string]string{
			"lost":    wire[:at] + wire[at+1:],
			"changed": wire[:at] + string(wire[at]^1) + wire[at+1:],
			"more":    wire[:at] + "[ 5.5] Oops\r\n" + wire[at:],
			"cut":     wire[:at],
		} {
			got, _, status, err := receive(garbled, 100)
			// Harmless is only what touches neither output nor status.
			if err == nil && (status != 0 || got != output) {
				t.Errorf("%s at %d: %q, status %d", name, at, got, status)
			}
			if err != nil && !errors.Is(err, ErrConsole) {
				t.Errorf("%s at %d: %v", name, at, err)
			}
			inside := at >= begin+len(word+" begin\n") && at < begin+len(word+" begin\n"+output)
			if inside && err == nil {
				t.Errorf("%s at %d, within the output, is not noticed", name, at)
			}
		}
	}
}

// TestPanic: a kernel's end is no end of the program.
func TestPanic(t *testing.T) {
	wire := session(t, "working\n", 0)
	wire = wire[:strings.LastIndex(wire, "\n"+word)] + "\r\n[ 7.7] Kernel panic - not syncing\r\n"
	if _, _, _, err := receive(wire, 64); !errors.Is(err, ErrConsole) || !strings.Contains(err.Error(), "before the program") {
		t.Errorf("%v", err)
	}
	if _, _, _, err := receive("[ 0.1] Kernel panic\r\n", 64); !errors.Is(err, ErrConsole) || !strings.Contains(err.Error(), "never started") {
		t.Errorf("%v", err)
	}
}
