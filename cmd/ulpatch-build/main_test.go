// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"debug/elf"
	"encoding/pem"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/keys"
	"github.com/ulpatch/ulpatch/format/payload"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){program: func() { os.Exit(run()) }})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"bundle": makeBundle,
			"status": status,
			"poke":   poke,
			"only":   only,
			"hsm":    hsm,
		},
	})
}

// status runs the program and wants an exit code: status CODE ARG...
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: status CODE [ARG...]")
	}
	err := ts.Exec(program, args[1:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, expected %s", got, args[0])
	}
}

// only wants that the working directory has these entries and no others, hidden
// ones neither.
func only(ts *testscript.TestScript, neg bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs("."))
	ts.Check(err)
	var names []string
	for _, e := range entries {
		if e.Name() != ".tmp" { // testscript's own
			names = append(names, e.Name())
		}
	}
	if got, want := strings.Join(names, " "), strings.Join(args, " "); neg || got != want {
		ts.Fatalf("the directory has %q, expected %q", got, want)
	}
}

// poke changes a byte of a file: poke FILE start|middle|end
func poke(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: poke FILE start|middle|end")
	}
	data := []byte(ts.ReadFile(args[0]))
	at := map[string]int{"start": 0, "middle": len(data) / 2, "end": len(data) - 2}[args[1]]
	data[at] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

// makeBundle signs a bundle of one small payload: bundle [SETTING...] OUT
// [KEY...]; settings are id=, version=, expires=, build=, a byte of the build-id,
// and payload=, what stands in place of one.
func makeBundle(ts *testscript.TestScript, neg bool, args []string) {
	file := samplePayload()
	var data []byte
	m := format.Manifest{ID: "CVE-2024-0001", Version: 2, Description: "bounds check", Replaces: []string{"CVE-2023-9"}}
	for len(args) > 0 && strings.Contains(args[0], "=") {
		var err error
		switch name, value, _ := strings.Cut(args[0], "="); name {
		case "id":
			m.ID = value
		case "version":
			m.Version, err = strconv.Atoi(value)
		case "expires":
			err = m.Expires.UnmarshalText([]byte(value))
		case "build":
			file.Table.Image.BuildID = strings.Repeat(value, 20)
		case "payload":
			data = []byte(value)
		default:
			ts.Fatalf("unknown setting %s", name)
		}
		ts.Check(err)
		args = args[1:]
	}
	if neg || len(args) < 1 {
		ts.Fatalf("usage: bundle [SETTING...] OUT [KEY...]")
	}
	if data == nil {
		var err error
		data, err = payload.Encode(file)
		ts.Check(err)
	}
	m.Payloads = []format.PayloadInfo{{Image: file.Table.Image}}
	bundle, err := format.Encode(m, [][]byte{data})
	ts.Check(err)
	for _, path := range args[1:] {
		key, err := keys.ReadSecret(ts.MkAbs(path), nil)
		ts.Check(err)
		bundle, err = format.Sign(bundle, key)
		ts.Check(err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), bundle, 0o644))
}

// hsm is a key that does not leave its place: hsm public OUT writes its public
// half in PEM, hsm sign MESSAGE OUT an Ed25519 signature.
func hsm(ts *testscript.TestScript, neg bool, args []string) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	switch {
	case !neg && len(args) == 2 && args[0] == "public":
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644))
	case !neg && len(args) == 3 && args[0] == "sign":
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), ed25519.Sign(key, []byte(ts.ReadFile(args[1]))), 0o644))
	default:
		ts.Fatalf("usage: hsm public OUT | hsm sign MESSAGE OUT")
	}
}

func samplePayload() *payload.File {
	return &payload.File{
		Machine: elf.EM_X86_64,
		Sections: []payload.Section{{
			Name: ".text.parse", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Align: 16, Size: 6,
			Data:   []byte{0xe8, 0, 0, 0, 0, 0xc3},
			Relocs: []payload.Reloc{{Off: 1, Type: uint32(elf.R_X86_64_PLT32), Symbol: 1, Addend: -4}},
		}},
		Symbols: []payload.Symbol{
			{Name: "parse", Section: 0, Size: 6, Type: elf.STT_FUNC, Bind: elf.STB_GLOBAL},
			{Name: "puts", Section: payload.Undefined, Type: elf.STT_FUNC, Bind: elf.STB_GLOBAL},
		},
		Table: format.Table{
			Image: format.Image{Name: "demod", BuildID: strings.Repeat("1f", 20), Machine: "amd64"},
			Functions: []format.Function{{
				Range:  format.Range{Name: "parse", Addr: 0x1200, Size: 64},
				Digest: strings.Repeat("ab", 32), Room: 64, Symbol: "parse",
			}},
			Imports: []format.Import{{Symbol: "puts", Kind: format.ImportDynamic, Name: "puts", Version: "GLIBC_2.2.5", Func: true}},
		},
	}
}
