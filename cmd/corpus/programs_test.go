// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"testing"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
)

func TestAnswerCodes(t *testing.T) {
	a := answer{exit: ui.Refused, stderr: "ulpatch-build: warning: a.o: odd\n" +
		"ulpatch-build: error: a.o: f: changed [data-initialiser-changed]\n" +
		"ulpatch-build: error: a.o: g: changed [new-thread-local]\n" +
		"ulpatch-build: error: b.o: h[3]: changed [data-initialiser-changed]\n" +
		"ulpatch-build: hint: allow it\n"}
	if got, want := a.codes(), "data-initialiser-changed,new-thread-local"; got != want {
		t.Errorf("codes: got %q, want %q", got, want)
	}
	if got, want := a.reason(), "exit status 3: ulpatch-build: error: a.o: f: changed [data-initialiser-changed]"; got != want {
		t.Errorf("reason: got %q, want %q", got, want)
	}
	if a.crashed() {
		t.Error("a refusal is taken for a crash")
	}
}

func TestAnswerCrashed(t *testing.T) {
	for _, a := range []answer{
		{exit: -1},
		{exit: 2, stderr: "panic: index out of range\n\ngoroutine 1 [running]:\n"},
	} {
		if !a.crashed() {
			t.Errorf("%+v: not seen as a crash", a)
		}
	}
}

func TestFind(t *testing.T) {
	for _, text := range []string{
		`{"pause_us": 12.5}`,
		`[{"pid": 1, "targets": [{"pause_us": 12.5}]}]`,
		"{\"pid\": 1}\n{\"pause_us\": 12.5}\n",
	} {
		if got, ok := find(text, "pause_us"); !ok || got != 12.5 {
			t.Errorf("%s: got %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "no JSON", `{"pid": 1}`} {
		if got, ok := find(text, "pause_us"); ok {
			t.Errorf("%q: found %v", text, got)
		}
	}
}

func TestActive(t *testing.T) {
	list := `[{"id": "a", "state": "active"}, {"id": "b", "state": "reverted"}, {"id": "b", "state": "active"},
		{"id": "c", "state": "reverted"}]`
	for id, want := range map[string]bool{"a": true, "b": true, "c": false, "d": false} {
		if got := active(list, id); got != want {
			t.Errorf("%s: got %v", id, got)
		}
	}
}
