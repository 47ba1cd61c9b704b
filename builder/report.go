// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import "github.com/ulpatch/ulpatch/format"

// Report tells what a patch does and why it may, or why there is none.
type Report struct {
	ID       string        `json:"id"`
	Units    []UnitReport  `json:"units"`
	Images   []ImageReport `json:"images"`
	Refusals Refusals      `json:"refusals"`
	Warnings []string      `json:"warnings"`
}

// UnitReport is what changed in one object pair, wherever it is linked.
type UnitReport struct {
	Name     string        `json:"name"`
	New      bool          `json:"new,omitempty"` // only the fixed side has it
	Changed  []Change      `json:"changed"`
	Allowed  []AllowReport `json:"allowed,omitempty"`
	Excluded []string      `json:"excluded,omitempty"` // changed functions that the patch spec leaves as they are
	Lines    []string      `json:"lines,omitempty"`    // functions that differ in line numbers alone, and stay as they are
	// Gone are variables that the fixed object has no more. While the patch is on,
	// nothing that is patched updates them; what is reverted goes on with them.
	Gone []string `json:"gone,omitempty"`
	// Shifted are accesses that moved, where debug information does not tell the
	// layout of types.
	Shifted *ShiftReport `json:"shifted,omitempty"`
	Images  []string     `json:"images"` // names of the images that it is part of
}

// Change is a function or constant that differs.
type Change struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // function, constant
	Why  string `json:"why"`  // the first difference
	// Old and New are the first instruction that differs, before and after.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
}

// AllowReport is a refusal that the patch spec lifted.
type AllowReport struct {
	Refusal
	Take   string `json:"take,omitempty"`
	Reason string `json:"reason"`
}

// ImageReport is the payload for one image.
type ImageReport struct {
	Image     format.Image     `json:"image"`
	Functions []FunctionReport `json:"functions"`       // that are redirected
	New       []string         `json:"new"`             // what the payload brings that the image has not
	Hooks     []HookReport     `json:"hooks,omitempty"` // in the order in which they are called
	Imports   []ImportReport   `json:"imports"`
	Dropped   []Dropped        `json:"dropped,omitempty"`
	Proofs    []ProofReport    `json:"proofs"`
	Size      int              `json:"size"` // bytes of the payload
	// Unproved are the units that the image is not proved to have been linked from.
	Unproved []UnprovedReport `json:"unproved,omitempty"`
}

// FunctionReport is one function that is redirected.
type FunctionReport struct {
	Unit    string     `json:"unit"`
	Name    string     `json:"name"`
	Addr    format.Hex `json:"addr"`
	Size    uint64     `json:"size"`     // bytes, of the old one
	NewSize uint64     `json:"new_size"` // bytes
	Room    uint64     `json:"room"`     // bytes that a jump may overwrite
	Why     string     `json:"why"`
	// Old and New are the first instruction that differs, before and after.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
}

// HookReport is one function that is called when the patch comes or goes.
type HookReport struct {
	Unit  string           `json:"unit"`
	Stage format.HookStage `json:"stage"`
	Name  string           `json:"name"`
}

// ImportReport is one symbol that the payload needs from the process.
type ImportReport struct {
	format.Import
	Unit string `json:"unit,omitempty"` // where it is defined, if in a unit of this patch
	How  string `json:"how"`            // what its binding rests on
	New  bool   `json:"new,omitempty"`  // the image itself does not import it
	From string `json:"from,omitempty"` // the library that defines a new one, if it was found
}

// Dropped is a changed function that is not in the image.
type Dropped struct {
	Unit string `json:"unit"`
	Name string `json:"name"`
	Why  string `json:"why"`
}

// ProofReport counts the outcomes for the functions and data of one unit.
type ProofReport struct {
	Unit      string         `json:"unit"`
	Exact     int            `json:"exact"`
	Relaxed   int            `json:"relaxed"`
	Absent    int            `json:"absent"`
	Foreign   int            `json:"foreign"`
	Different int            `json:"different"`
	Rewrites  map[string]int `json:"rewrites,omitempty"` // by name
	First     string         `json:"first,omitempty"`    // first difference
}
