// SPDX-License-Identifier: GPL-2.0-or-later

package live

import "testing"

// flavour is a way in which a program is built.
type flavour struct {
	name          string
	cc            string
	compile, link []string
}

// peculiarities are what the tests have to know of a CPU. A port to another CPU
// begins with a line here, and a folder in victims.
type peculiarities struct {
	flavours   []flavour
	guarded    []string // flags that protect branches and returns
	musl       []string // flags for programs with that C library
	tls        []string // flags for the way to thread-local variables that is not the usual one
	straddles  []int    // how many bytes of an entry lie before the border of two pages
	straddling []string // flags for that
}

var ofCPU = map[string]peculiarities{
	"amd64": {
		flavours:  []flavour{{name: "cf-protection", compile: []string{"-fcf-protection=full"}}},
		guarded:   []string{"-fcf-protection=full"},
		tls:       []string{"-mtls-dialect=gnu2"},
		straddles: []int{1, 2, 3, 4},
	},
	"arm64": {
		flavours: []flavour{
			{name: "branch-protection", compile: []string{"-mbranch-protection=standard"}},
			{name: "pac-ret-leaf-b-key", compile: []string{"-mbranch-protection=pac-ret+leaf+b-key"}},
			{name: "bti", compile: []string{"-mbranch-protection=bti"}, link: []string{"-Wl,-z,force-bti"}},
			{name: "bti-pac", compile: []string{"-mbranch-protection=standard"}, link: []string{"-Wl,-z,force-bti"}},
			{name: "clang-bti-pac", cc: "clang", compile: []string{"-mbranch-protection=standard"}, link: []string{"-Wl,-z,force-bti"}},
			{name: "page-64k", link: []string{"-Wl,-z,max-page-size=65536", "-Wl,-z,common-page-size=65536"}},
			{name: "no-outline-atomics", compile: []string{"-mno-outline-atomics"}},
		},
		guarded: []string{"-mbranch-protection=standard"},
		musl:    []string{"-mno-outline-atomics"}, // libgcc has them for glibc
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
