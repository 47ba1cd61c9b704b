// SPDX-License-Identifier: GPL-2.0-or-later

// Package ui is what both programs share in how they talk: exit codes, messages
// on stderr, JSON on stdout, progress, files that appear whole or not at all.
package ui

import (
	"errors"
	"fmt"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/hint"
)

// Code is an exit status.
type Code int

// The exit codes of both programs.
const (
	Done    Code = 0
	Failed  Code = 1 // the target, if there is one, is untouched or restored
	Usage   Code = 2
	Refused Code = 3 // signature, mismatch, unsafe change
	NoMatch Code = 4 // nothing matched
	Unknown Code = 5 // the state of a target is unknown
)

type coded struct {
	error
	code Code
}

func (c *coded) Unwrap() error { return c.error }

// Exit returns err with the exit code that it ends the program with.
func Exit(code Code, err error) error {
	if err == nil {
		return nil
	}
	return &coded{err, code}
}

// Usagef is an error in how the program was called.
func Usagef(text string, args ...any) error {
	return Exit(Usage, fmt.Errorf(text, args...))
}

// Hint returns err with advice, which is printed on a line of its own.
func Hint(err error, advice string) error { return hint.With(err, advice) }

// CodeOf is the exit code for err: that of the outermost Exit, else Refused
// for a signature or a policy, else Failed.
func CodeOf(err error) Code {
	var c *coded
	switch {
	case err == nil:
		return Done
	case errors.As(err, &c):
		return c.code
	case errors.Is(err, format.ErrSignature), errors.Is(err, format.ErrPolicy):
		return Refused
	}
	return Failed
}
