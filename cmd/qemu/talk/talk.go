// SPDX-License-Identifier: GPL-2.0-or-later

// Package talk is what the runner and the guest say to each other over a serial
// line: a question in one line, an answer of JSON in one line.
package talk

// Questions. Those of more than one word have arguments.
const (
	Mark     = "mark"     // Counters since the last mark
	Verify   = "verify"   // read everything back; Counters since the start
	Features = "features" // ADDRESS of a network card on PCI: the bits that its device offers
	Speak    = "speak"    // MAC MTU: bring a network card up with packets of that size
)

// The guest's kernel is told by these words of its command line.
const (
	PortWord    = "load.port="    // TCP port of the echo server at Gateway
	WorkersWord = "load.workers=" // on each disk
)

// Addresses in the network that QEMU makes up for a guest (-netdev user).
const (
	Gateway = "10.0.2.2" // the host
	Address = "10.0.2.15"
)

// Modules is the folder of the guest with the kernel modules that are to be
// loaded, in the order of their names.
const Modules = "/modules"

// Counters are what the load has done, and what went wrong.
type Counters struct {
	DiskOps   int64 `json:"disk_ops"`
	DiskBytes int64 `json:"disk_bytes"`
	NetOps    int64 `json:"net_ops"`
	NetBytes  int64 `json:"net_bytes"`
	// Errors are requests that failed and data that was not what was written;
	// Fault is the first of them.
	Errors int64  `json:"errors"`
	Fault  string `json:"fault,omitempty"`
	// StallUS is the longest time, in microseconds, that a thread that wants to
	// run every millisecond did not; DiskUS and NetUS are the longest requests.
	StallUS int64 `json:"stall_us"`
	DiskUS  int64 `json:"disk_us"`
	NetUS   int64 `json:"net_us"`
}

// Answer is what the guest says.
type Answer struct {
	Counters
	Bits  string `json:"bits,omitempty"`  // of Features: 0 and 1, the lowest first
	Error string `json:"error,omitempty"` // the question could not be answered
}
