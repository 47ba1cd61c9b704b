// SPDX-License-Identifier: GPL-2.0-or-later

package live

import "testing"

// flavour is a way in which a program is built.
type flavour struct {
	name          string
	cc            string
	compile, link []string
	guarded       bool // the kernel holds indirect branches to landing pads
}

// forceBTI links a program or library whose code is all guarded: the objects at
// its start and end are left out, which are not.
var forceBTI = []string{"-nostartfiles", "-Wl,-z,force-bti,--fatal-warnings"}

// peculiarities are what the tests have to know of a CPU. A port to another CPU
// begins with a line here, and a folder in victims.
type peculiarities struct {
	flavours   []flavour
	guarded    []string // flags that protect branches and returns
	musl       []string // flags for programs with that C library
	forced     []string // linker's flags for a library whose code is guarded
	flag       string   // of guarded code in smaps
	tls        []string // flags for the way to thread-local variables that is not the usual one
	straddles  []int    // how many bytes of an entry lie before the border of two pages
	straddling []string // flags for that
	pushes     bool     // a call leaves its return address on the stack
	thunks     []string // flags for calls through a register that go through a thunk
}

var ofCPU = map[string]peculiarities{
	"amd64": {
		flavours:  []flavour{{name: "cf-protection", compile: []string{"-fcf-protection=full"}}},
		guarded:   []string{"-fcf-protection=full"},
		tls:       []string{"-mtls-dialect=gnu2"},
		straddles: []int{1, 2, 3, 4},
		pushes:    true,
		thunks:    []string{"-mindirect-branch=thunk", "-fcf-protection=none"},
	},
	"arm64": {
		flavours: []flavour{
			{name: "branch-protection", compile: []string{"-mbranch-protection=standard"}},
			{name: "pac-ret-leaf-b-key", compile: []string{"-mbranch-protection=pac-ret+leaf+b-key"}},
			{name: "bti", compile: []string{"-mbranch-protection=bti", "-mno-outline-atomics", "-DSTART"}, link: forceBTI, guarded: true},
			{name: "bti-pac", compile: []string{"-mbranch-protection=standard", "-mno-outline-atomics", "-DSTART"}, link: forceBTI, guarded: true},
			{name: "clang-bti-pac", cc: "clang", compile: []string{"-mbranch-protection=standard", "-mno-outline-atomics", "-DSTART"}, link: forceBTI, guarded: true},
			{name: "page-64k", link: []string{"-Wl,-z,max-page-size=65536", "-Wl,-z,common-page-size=65536"}},
			{name: "no-outline-atomics", compile: []string{"-mno-outline-atomics"}},
		},
		guarded: []string{"-mbranch-protection=standard"},
		musl:    []string{"-mno-outline-atomics"}, // libgcc has them for glibc
		forced:  forceBTI,
		flag:    "bt",
		tls:     []string{"-mtls-dialect=trad"},
		// What is written over paciasp has eight bytes.
		straddles:  []int{4},
		straddling: []string{"-mbranch-protection=pac-ret"},
	},
}

func peculiar(t *testing.T) peculiarities {
	t.Helper()
	p, ok := ofCPU[CPU()]
	if !ok {
		t.Fatalf("nothing is said of %s", CPU())
	}
	return p
}
