// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of refusal. A *Refusal wraps exactly one of them.
var (
	// ErrUnsupportedChange: a running process cannot take the change.
	ErrUnsupportedChange = errors.New("unsupported change")
	// ErrNothingChanged: there is nothing to patch.
	ErrNothingChanged = errors.New("nothing changed")
	// ErrMismatch: the objects are not what the image was linked from.
	ErrMismatch = errors.New("objects and image do not match")
)

// Code is the stable name of a reason to refuse; specs/patch-spec.md lists all.
type Code string

const (
	CodeDataInitialiser  Code = "data-initialiser-changed"
	CodeVariableSize     Code = "variable-size-changed"
	CodeLayout           Code = "variable-layout-changed"
	CodeTypeLayout       Code = "type-layout-changed"
	CodeVariableKind     Code = "variable-kind-changed"
	CodeOptimised        Code = "variable-optimised"
	CodeSharedConstant   Code = "shared-constant-changed"
	CodeInitArray        Code = "init-array-changed"
	CodeSectionEntry     Code = "section-entry-added"
	CodeThreadLocal      Code = "new-thread-local"
	CodeFunctionTooSmall Code = "function-too-small"
	CodeFolded           Code = "folded-functions"
	CodeImageMismatch    Code = "image-mismatch"
	CodeSwapped          Code = "objects-swapped"
	CodeLTO              Code = "lto-object"
	CodeNotInImage       Code = "not-in-image"
	CodeNoSymbols        Code = "no-symbols"
	CodeAmbiguous        Code = "ambiguous-symbol"
	CodeRelocation       Code = "unsupported-relocation"
	CodeUndefined        Code = "undefined-symbol"
	CodeIFUNC            Code = "ifunc-changed"
	CodeSeveralEntries   Code = "several-entries"
	CodeUndecodable      Code = "undecodable-code"
	CodeMoved            Code = "definition-moved"
	CodeNothingChanged   Code = "nothing-changed"
	CodeMachine          Code = "machine-mismatch"
	CodeHook             Code = "unusable-hook"
)

var kinds = map[Code]error{
	CodeDataInitialiser:  ErrUnsupportedChange,
	CodeVariableSize:     ErrUnsupportedChange,
	CodeLayout:           ErrUnsupportedChange,
	CodeTypeLayout:       ErrUnsupportedChange,
	CodeVariableKind:     ErrUnsupportedChange,
	CodeOptimised:        ErrUnsupportedChange,
	CodeSharedConstant:   ErrUnsupportedChange,
	CodeInitArray:        ErrUnsupportedChange,
	CodeSectionEntry:     ErrUnsupportedChange,
	CodeThreadLocal:      ErrUnsupportedChange,
	CodeFunctionTooSmall: ErrUnsupportedChange,
	CodeFolded:           ErrUnsupportedChange,
	CodeRelocation:       ErrUnsupportedChange,
	CodeUndefined:        ErrUnsupportedChange,
	CodeIFUNC:            ErrUnsupportedChange,
	CodeSeveralEntries:   ErrUnsupportedChange,
	CodeUndecodable:      ErrUnsupportedChange,
	CodeMoved:            ErrUnsupportedChange,
	CodeAmbiguous:        ErrUnsupportedChange,
	CodeHook:             ErrUnsupportedChange,
	CodeImageMismatch:    ErrMismatch,
	CodeSwapped:          ErrMismatch,
	CodeLTO:              ErrMismatch,
	CodeNotInImage:       ErrMismatch,
	CodeNoSymbols:        ErrMismatch,
	CodeMachine:          ErrMismatch,
	CodeNothingChanged:   ErrNothingChanged,
}

// Refusal is one reason why no patch was made.
type Refusal struct {
	Code   Code   `json:"code"`
	Place  string `json:"place"`          // file, image, symbol: from the outside in
	Name   string `json:"name,omitempty"` // the symbol that a patch spec's allow names
	Detail string `json:"detail"`
	Advice string `json:"hint,omitempty"` // a way out
}

func (r *Refusal) Error() string {
	if r.Place == "" {
		return fmt.Sprintf("%s [%s]", r.Detail, r.Code)
	}
	return fmt.Sprintf("%s: %s [%s]", r.Place, r.Detail, r.Code)
}

// Hint is the way out, for package hint.
func (r *Refusal) Hint() string { return r.Advice }

func (r *Refusal) Unwrap() error { return kinds[r.Code] }

// Refusals are all the reasons that were found, at least one.
type Refusals []*Refusal

func (r Refusals) Error() string {
	lines := make([]string, len(r))
	for i, one := range r {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

func (r Refusals) Unwrap() []error {
	errs := make([]error, len(r))
	for i, one := range r {
		errs[i] = one
	}
	return errs
}
