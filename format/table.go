// SPDX-License-Identifier: GPL-2.0-or-later

package format

// Image names a linked ELF file.
type Image struct {
	Name    string `json:"name"`     // file name without its directory, for people
	BuildID string `json:"build_id"` // GNU build-id, lower-case hexadecimal: the key
	Machine string `json:"machine"`  // arch.Arch.Name
}

// Table is what a payload says of the image that it belongs to: which functions
// it replaces and how its undefined symbols are found in a process. It is the
// content of the payload's section TableSection, in canonical JSON.
//
// Every address in it is a link-time address of the image: an address in the
// process is that plus the load bias.
type Table struct {
	Image     Image      `json:"image"`
	Functions []Function `json:"functions"` // by Addr, ascending
	Imports   []Import   `json:"imports"`   // by Symbol, ascending; one for each undefined symbol of the payload
	Quiet     []Range    `json:"quiet"`     // by Addr: what must be off every stack beside Functions' own code
	// Hooks are by stage, in the order in which they are called.
	Hooks []Hook `json:"hooks,omitempty"`
}

// TableSection is the name of the payload's section that holds the Table.
const TableSection = ".ulpatch.table"

// Range is code of the image.
type Range struct {
	Name string `json:"name"`
	Addr Hex    `json:"addr"`
	Size uint64 `json:"size"` // bytes
}

// Function is an old function that is redirected.
type Function struct {
	Range
	// Digest is the SHA-256 of the Size bytes at Addr as they are in the image,
	// in lower-case hexadecimal.
	Digest string `json:"digest"`
	// Room is the number of bytes at Addr that a jump (after the landing pad, if
	// there is one) may overwrite: Size, or less where a branch of the function
	// lands near its entry.
	Room uint64 `json:"room"`
	// Symbol is the payload's symbol that takes over.
	Symbol string `json:"symbol"`
	// Parts are further ranges of the same function (.cold), which nothing may
	// be executing either.
	Parts []Range `json:"parts"`
}

// ImportKind tells how an undefined symbol of the payload is found.
type ImportKind string

const (
	// ImportImage: at Addr in the image: a variable, a literal, a function that
	// does not change (or the original entry of one that does, for its address).
	ImportImage ImportKind = "image"
	// ImportDynamic: by Name and Version in the image's scope, in link-map
	// order. Where the image has a GOT slot for it, Slot is its address, and a
	// call may go through it.
	ImportDynamic ImportKind = "dynamic"
	// ImportTLS: byte Addr of the image's own TLS block.
	ImportTLS ImportKind = "tls"
	// ImportDynamicTLS: a thread-local variable of another module, by name.
	ImportDynamicTLS ImportKind = "dynamic-tls"
)

// Import is an undefined symbol of the payload.
type Import struct {
	Symbol  string     `json:"symbol"`
	Kind    ImportKind `json:"kind"`
	Addr    Hex        `json:"addr,omitempty"`
	Slot    Hex        `json:"slot,omitempty"`
	Name    string     `json:"name,omitempty"`
	Version string     `json:"version,omitempty"` // "" where the reference has none
	Weak    bool       `json:"weak,omitempty"`    // may be absent, then its address is 0
	Func    bool       `json:"func,omitempty"`
}

// Hex is an unsigned 64-bit number that is written as "0x1f".
type Hex uint64
