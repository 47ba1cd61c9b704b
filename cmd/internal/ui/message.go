// SPDX-License-Identifier: GPL-2.0-or-later

package ui

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode"

	"github.com/ulpatch/ulpatch/format/hint"
)

// Errorf, Warnf and Hintf print one line that begins with the program's name.
func Errorf(w io.Writer, program, text string, args ...any) { line(w, program, "error", text, args) }

// Warnf prints a warning; see Errorf.
func Warnf(w io.Writer, program, text string, args ...any) { line(w, program, "warning", text, args) }

// Hintf prints advice; see Errorf.
func Hintf(w io.Writer, program, text string, args ...any) { line(w, program, "hint", text, args) }

func line(w io.Writer, program, kind, text string, args []any) {
	for i, l := range strings.Split(strings.TrimRight(fmt.Sprintf(text, args...), "\n"), "\n") {
		if i > 0 {
			kind = strings.Repeat(" ", len(kind)) // errors.Join puts causes on lines of their own
			fmt.Fprintf(w, "%s: %s  %s\n", program, kind, Printable(l))
			continue
		}
		fmt.Fprintf(w, "%s: %s: %s\n", program, kind, Printable(l))
	}
}

// Report prints err, and the hints that it carries.
func Report(w io.Writer, program string, err error) {
	Errorf(w, program, "%v", err)
	for _, advice := range hint.Of(err) {
		Hintf(w, program, "%s", advice)
	}
}

// Printable replaces what a terminal would act upon instead of showing it.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != ' ' && !unicode.IsGraphic(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// JSON prints v, indented, for scripts.
func JSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Logger is for libraries that take one: warnings and errors are lines like
// those of Warnf; with verbose, what is below is printed too.
func Logger(w io.Writer, program string, verbose bool) *slog.Logger {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(&handler{w: w, program: program, level: level})
}

type handler struct {
	w       io.Writer
	program string
	level   slog.Level
	attrs   string
	group   string
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	kind := strings.ToLower(r.Level.String())
	switch r.Level {
	case slog.LevelWarn:
		kind = "warning"
	case slog.LevelInfo:
		kind = "note"
	}
	text := r.Message + h.attrs
	r.Attrs(func(a slog.Attr) bool {
		text += h.attr(a)
		return true
	})
	line(h.w, h.program, kind, "%s", []any{text})
	return nil
}

func (h *handler) attr(a slog.Attr) string {
	value := a.Value.Resolve().String()
	if value == "" || strings.ContainsAny(value, " \"=\n") {
		value = fmt.Sprintf("%q", value)
	}
	return " " + h.group + a.Key + "=" + value
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	for _, a := range attrs {
		next.attrs += h.attr(a)
	}
	return &next
}

func (h *handler) WithGroup(name string) slog.Handler {
	next := *h
	next.group += name + "."
	return &next
}
