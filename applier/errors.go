// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"errors"
	"fmt"
)

var (
	// ErrNoMatch: the process runs no image that the bundle is for, or has no
	// such patch.
	ErrNoMatch = errors.New("nothing to do")
	// ErrRefused: the process or the bundle is not as it has to be.
	ErrRefused = errors.New("refused")
	// ErrBusy: it could not be done in the given time.
	ErrBusy = errors.New("busy")
)

// State tells what became of a process that something went wrong with.
type State string

const (
	// Untouched: nothing of the process was changed.
	Untouched State = "untouched"
	// Restored: it was changed and is as it was before.
	Restored State = "restored"
	// Unknown: it was changed, and not all could be undone.
	Unknown State = "unknown"
)

// Stage is a step of an operation, for messages.
type Stage string

const (
	StageDiscover Stage = "discover"
	StagePlan     Stage = "plan"
	StageStage    Stage = "stage"
	StageQuiesce  Stage = "quiesce"
	StageCommit   Stage = "commit"
	StageHooks    Stage = "hooks"
)

// Error is a failed operation on a process.
type Error struct {
	PID   int
	Stage Stage
	State State
	Err   error
}

func (e *Error) Error() string {
	return fmt.Sprintf("pid %d: %s: %v (process %s)", e.PID, e.Stage, e.Err, e.State)
}

func (e *Error) Unwrap() error { return e.Err }

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrRefused}, args...)...)
}
