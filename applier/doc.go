// SPDX-License-Identifier: GPL-2.0-or-later

// Package applier installs verified bundles in running processes and takes them
// back: verify, discover, plan, stage, quiesce, commit. What is slow happens
// before anything is stopped, and all that can fail fails in the plan. It knows
// nothing of objects and how a patch was made.
//
// The rules that it keeps, whatever happens to it: a thread that it has stopped
// or borrowed comes back by itself should it be killed; nothing of a process is
// writable and executable at once; all of a patch is active or nothing; and what
// a patched process must remember it carries itself, in records.
package applier
