// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ulpatch/ulpatch/cmd/internal/ui"
	"github.com/ulpatch/ulpatch/format"
)

func inspectCommand() *cli.Command {
	return &cli.Command{
		Name:        "inspect",
		Usage:       "show what is in a bundle",
		ArgsUsage:   "BUNDLE",
		Description: "Without --trust nothing is verified, and what is shown says so.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "for scripts"},
			trustFlag(""),
		},
		Action: func(c *cli.Context) error {
			args, err := ui.Args(c, "BUNDLE")
			if err != nil {
				return err
			}
			return openBundle(args[0], c.String("trust"), func(b *bundle) error { return inspect(c, b) })
		},
	}
}

// inspection is what inspect --json prints.
type inspection struct {
	Verified   bool              `json:"verified"` // false: anybody may have made it
	Signatures []signature       `json:"signatures"`
	Manifest   format.Manifest   `json:"manifest"`
	Payloads   []payloadContents `json:"payloads"` // as in the manifest
}

type signature struct {
	KeyID   string `json:"key_id"`
	Trusted bool   `json:"trusted"`           // its key is trusted and it is valid
	Comment string `json:"comment,omitempty"` // of a trusted one
}

type payloadContents struct {
	Table    format.Table  `json:"table"`
	Sections []sectionInfo `json:"sections"`
}

type sectionInfo struct {
	Name        string `json:"name"`
	Flags       string `json:"flags"` // A loaded, W writable, X executable
	Size        uint64 `json:"size"`
	Relocations int    `json:"relocations"`
}

func inspect(c *cli.Context, b *bundle) error {
	shown := inspection{Verified: len(b.signers) > 0, Signatures: []signature{}, Manifest: b.manifest}
	for _, id := range b.unverified.KeyIDs {
		s := signature{KeyID: id}
		for _, signer := range b.signers {
			if signer.KeyID == id {
				s.Trusted, s.Comment = true, signer.Comment
			}
		}
		shown.Signatures = append(shown.Signatures, s)
	}
	for i := range b.manifest.Payloads {
		f, err := b.payload(i)
		if err != nil {
			return err
		}
		contents := payloadContents{Table: f.Table, Sections: []sectionInfo{}}
		for _, s := range f.Sections {
			contents.Sections = append(contents.Sections, sectionInfo{s.Name, flags(uint64(s.Flags)), s.Size, len(s.Relocs)})
		}
		shown.Payloads = append(shown.Payloads, contents)
	}
	warnUnverified(c, b)
	if c.Bool("json") {
		return ui.JSON(c.App.Writer, shown)
	}
	printInspection(c.App.Writer, shown)
	return nil
}

// flags are the lowest three bits of sh_flags.
func flags(f uint64) string {
	var out string
	for _, flag := range []struct {
		bit  uint64
		name string
	}{{2, "A"}, {1, "W"}, {4, "X"}} {
		if f&flag.bit != 0 {
			out += flag.name
		}
	}
	return out
}

func printInspection(w io.Writer, s inspection) {
	m := s.Manifest
	fmt.Fprintf(w, "patch        %s version %d\n", m.ID, m.Version)
	if m.Description != "" {
		fmt.Fprintf(w, "description  %s\n", m.Description)
	}
	if m.Expires != 0 {
		fmt.Fprintf(w, "expires      %s\n", m.Expires)
	}
	if len(m.Critical) > 0 {
		fmt.Fprintf(w, "needs        %s\n", strings.Join(m.Critical, " "))
	}
	if len(m.Replaces) > 0 {
		fmt.Fprintf(w, "replaces     %s\n", strings.Join(m.Replaces, " "))
	}
	if slices.Contains(m.Critical, format.FeatureUnproved) {
		fmt.Fprintf(w, "unproved     the image is not proved to have been linked from the original objects\n")
	}
	if !s.Verified {
		fmt.Fprintf(w, "signature    NOT VERIFIED\n")
	}
	for _, sig := range s.Signatures {
		what := "claims to be by key " + sig.KeyID
		if sig.Trusted {
			what = "valid, by key " + sig.KeyID + ": " + sig.Comment
		} else if s.Verified {
			what = "by key " + sig.KeyID + ", which is not trusted"
		}
		fmt.Fprintf(w, "signature    %s\n", what)
	}
	for i, p := range m.Payloads {
		t := s.Payloads[i].Table
		fmt.Fprintf(w, "\nimage        %s, %s, build-id %s\n", p.Image.Name, p.Image.Machine, p.Image.BuildID)
		fmt.Fprintf(w, "payload      %d bytes, %d in the bundle, sha256 %s\n", p.Size, p.PackedSize, p.Digest)
		for _, f := range t.Functions {
			fmt.Fprintf(w, "function     %s, %d bytes at %s\n", f.Name, f.Size, f.Addr)
		}
		for _, r := range t.Quiet {
			fmt.Fprintf(w, "quiet        %s, %d bytes at %s\n", r.Name, r.Size, r.Addr)
		}
		for _, h := range t.Hooks {
			fmt.Fprintf(w, "hook         %s %s\n", h.Stage, h.Name)
		}
		for _, imp := range t.Imports {
			fmt.Fprintf(w, "import       %s\n", describe(imp))
		}
		for _, sec := range s.Payloads[i].Sections {
			fmt.Fprintf(w, "section      %s %s, %d bytes, %s\n", sec.Name, sec.Flags, sec.Size, count(sec.Relocations, "relocation"))
		}
	}
}

// describe says how an import is found.
func describe(i format.Import) string {
	switch i.Kind {
	case format.ImportImage:
		return fmt.Sprintf("%s at %s of the image", i.Symbol, i.Addr)
	case format.ImportTLS:
		return fmt.Sprintf("%s at %s of the image's thread-local block", i.Symbol, i.Addr)
	}
	name := i.Name
	if i.Version != "" {
		name += "@" + i.Version
	}
	if name == i.Symbol {
		return fmt.Sprintf("%s, %s", i.Symbol, i.Kind)
	}
	return fmt.Sprintf("%s, %s %s", i.Symbol, i.Kind, name)
}
