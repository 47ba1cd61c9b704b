// SPDX-License-Identifier: GPL-2.0-or-later

// Package hint lets an error carry advice: what the reader can do about it.
// The advice is no part of the message; programs print it on a line of its own.
// It imports nothing, so that every package can use it.
package hint

type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }
func (h *hinted) Hint() string  { return h.hint }

// With returns err with a hint, a sentence without a full stop. nil stays nil.
func With(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, hint}
}

// Of collects the hints that err and what it wraps carry, the outermost first.
// None is listed twice.
func Of(err error) []string {
	var hints []string
	seen := map[string]bool{}
	walk(err, func(e error) {
		if h, ok := e.(interface{ Hint() string }); ok && !seen[h.Hint()] {
			seen[h.Hint()] = true
			hints = append(hints, h.Hint())
		}
	})
	return hints
}

func walk(err error, visit func(error)) {
	if err == nil {
		return
	}
	visit(err)
	switch e := err.(type) { //nolint:errorlint // this is the walk itself
	case interface{ Unwrap() error }:
		walk(e.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			walk(inner, visit)
		}
	}
}
