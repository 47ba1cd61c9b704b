// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/arch/amd64"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/payload"
)

const planID = "0123456789"

// planned is a process that runs a fixed executable, and a patch for its function
// at textAt, which is 64 bytes long.
type planned struct {
	v       *view
	mem     *fakeMemory
	sources map[string]source
	file    *payload.File
}

func aProcess(prefix ...byte) *planned {
	text := bytes.Repeat([]byte{0x90}, 4096)
	copy(text, prefix)
	mem := &fakeMemory{mappings: map[arch.Addr][]byte{textAt: text}}
	m := &module.Module{
		Path: "/prog", Machine: elf.EM_X86_64, Type: elf.ET_EXEC, BuildID: planID, Start: textAt, End: textAt + 0x1000,
		Progs: []elf.ProgHeader{{Type: elf.PT_LOAD, Flags: elf.PF_R | elf.PF_X, Vaddr: uint64(textAt), Filesz: 4096, Memsz: 4096}},
	}
	sum := sha256.Sum256(text[:64])
	f := &payload.File{
		Machine: elf.EM_X86_64,
		Sections: []payload.Section{{
			Name: ".text.f", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Align: 16, Size: 16, Data: bytes.Repeat([]byte{0xc3}, 16),
			Relocs: []payload.Reloc{{Off: 4, Type: uint32(elf.R_X86_64_PC32), Symbol: 1, Addend: -4}},
		}},
		Symbols: []payload.Symbol{
			{Name: "new_f", Size: 16, Type: elf.STT_FUNC, Bind: elf.STB_GLOBAL},
			{Name: "g", Section: payload.Undefined, Bind: elf.STB_GLOBAL},
		},
		Table: format.Table{
			Image: format.Image{Name: "prog", BuildID: planID, Machine: "amd64"},
			Functions: []format.Function{{
				Range: format.Range{Name: "f", Addr: format.Hex(textAt), Size: 64}, Digest: hex.EncodeToString(sum[:]), Room: 64, Symbol: "new_f",
				Parts: []format.Range{{Name: "f.cold", Addr: format.Hex(textAt + 256), Size: 32}},
			}},
			Imports: []format.Import{{Symbol: "g", Kind: format.ImportImage, Addr: format.Hex(textAt + 512)}},
			Quiet:   []format.Range{{Name: "caller", Addr: format.Hex(textAt + 1024), Size: 16}},
		},
	}
	return &planned{
		v: &view{
			arch: amd64.Arch, modules: []*module.Module{m}, stack: 8 << 20,
			maps: proc.Maps{{Start: textAt, End: textAt + 0x1000, Perms: "r-xp", Path: "/prog"}},
		},
		mem: mem, file: f, sources: map[string]source{planID: {f, "digest"}},
	}
}

func (p *planned) plan() (*plan, error) {
	return makePlan(p.v, p.mem, format.Manifest{ID: "fix", Version: 2}, p.sources)
}

func TestPlan(t *testing.T) {
	for _, pad := range []int{0, 4} {
		p := aProcess([]byte{0xf3, 0x0f, 0x1e, 0xfa}[:pad]...)
		before := p.mem.clone()
		pl, err := p.plan()
		if err != nil {
			t.Fatal(err)
		}
		sameMemory(t, "a plan", p.mem.mappings, before)
		at := textAt + arch.Addr(pad)
		if len(pl.edits) != 1 || pl.edits[0].at != at || !bytes.Equal(pl.edits[0].old, bytes.Repeat([]byte{0x90}, 5)) {
			t.Fatalf("edits %+v", pl.edits)
		}
		part := pl.parts[0]
		off, _, _ := part.layout.Symbol("new_f")
		jump, err := amd64.Arch.Jump(at, part.image.Base+arch.Addr(off))
		if err != nil || !bytes.Equal(pl.edits[0].new, jump) {
			t.Errorf("jump % x, want % x, %v", pl.edits[0].new, jump, err)
		}
		if !bytes.HasPrefix(part.image.Bytes, part.record.bytes()) {
			t.Error("the record is not at the start of the payload")
		}
		mapped := &fakeMemory{mappings: map[arch.Addr][]byte{part.image.Base: part.image.Bytes}}
		r, err := readRecord(proc.Mapping{Start: part.image.Base, End: part.image.Base + arch.Addr(len(part.image.Bytes))}, mapped)
		if err != nil || r.State != Staged || r.Parts != 1 || r.Size != part.layout.Size || r.Sites[0].At != format.Hex(at) {
			t.Errorf("%+v, %v", r, err)
		}
		for _, c := range []struct {
			pc    arch.Addr
			exact bool
			want  string
		}{
			{textAt, true, ""}, {at, true, ""}, {at + 1, true, "f"}, {textAt + 63, true, "f"}, {textAt + 64, true, ""},
			{textAt, false, "f"}, {textAt - 1, false, ""}, {textAt + 256, true, "f.cold"}, {textAt + 1039, false, "caller"}, {textAt + 1040, false, ""},
		} {
			got := ""
			for _, z := range pl.quiet {
				if z.holds(c.pc, c.exact) {
					got = z.name
				}
			}
			if got != c.want {
				t.Errorf("%#x, exact %v: in %q, want %q", uint64(c.pc), c.exact, got, c.want)
			}
		}
	}
}

func TestPlanRefused(t *testing.T) {
	if _, err := aProcess().plan(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*planned)
		want   string
	}{
		"breakpoint":      {func(p *planned) { p.mem.find(textAt+63, 1)[0] = 0xcc }, "are not those of the image"},
		"too little room": {func(p *planned) { p.file.Table.Functions[0].Room = 4 }, "4 bytes are too few for a landing pad of 0 and a jump of 5"},
		"no code":         {func(p *planned) { p.file.Table.Functions[0].Addr = format.Hex(textAt + 0x1000) }, "is no code"},
		"beyond code":     {func(p *planned) { p.file.Table.Functions[0].Addr = format.Hex(textAt + 0x1000 - 63) }, "is no code"},
		"symbol missing":  {func(p *planned) { p.file.Table.Functions[0].Symbol = "other" }, `does not define "other"`},
		"unknown type":    {func(p *planned) { p.file.Sections[0].Relocs[0].Type = 200 }, "unsupported relocation"},
		"out of reach":    {func(p *planned) { p.file.Table.Imports[0].Addr = 1 << 40 }, "out of range"},
		"library is absent": {func(p *planned) {
			p.file.Table.Imports[0] = format.Import{Symbol: "g", Kind: format.ImportDynamic, Name: "g", Version: "V"}
		}, "defines g@V"},
		"no room": {func(p *planned) {
			p.v.maps = append(proc.Maps{{Start: minAddr, End: textAt, Perms: "---p"}}, p.v.maps[0], proc.Mapping{Start: textAt + 0x1000, End: 1 << 34, Perms: "---p"})
		}, "no free range"},
	} {
		p := aProcess()
		c.change(p)
		if pl, err := p.plan(); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %q", name, pl, err, c.want)
		}
	}
	p := aProcess()
	p.v.modules[0].BuildID = "98"
	if _, err := p.plan(); !errors.Is(err, ErrNoMatch) {
		t.Errorf("another image: %v", err)
	}
}

// TestPlanOnTop plans for a function that a patch has already: its digest is that
// of the image, what is replaced is the jump.
func TestPlanOnTop(t *testing.T) {
	p := aProcess()
	first, err := p.plan()
	if err != nil {
		t.Fatal(err)
	}
	copy(p.mem.find(textAt, 5), first.edits[0].new)
	rec := first.parts[0].record
	rec.State, rec.Sequence = Active, 1
	p.v.records = []*record{rec}
	second, err := p.plan()
	if err != nil {
		t.Fatal(err)
	}
	if e := second.edits[0]; !bytes.Equal(e.old, first.edits[0].new) {
		t.Errorf("replaces % x", e.old)
	}
	if s := second.parts[0].record.Sites[0]; !bytes.Equal(s.Pristine, bytes.Repeat([]byte{0x90}, 5)) {
		t.Errorf("pristine % x", s.Pristine)
	}
	inside := rec.Base + arch.Addr(rec.Sites[0].New) + 3
	held := false
	for _, z := range second.quiet {
		held = held || z.holds(inside, true)
	}
	if !held {
		t.Error("a thread in the patch below is not seen")
	}
	rec.State = Reverted // and its jump still there: not ours to explain
	if _, err := p.plan(); !errors.Is(err, ErrRefused) {
		t.Errorf("a jump of a reverted patch: %v", err)
	}
}

func TestPlanFailsAtN(t *testing.T) {
	for n := 1; ; n++ {
		p := aProcess()
		before := p.mem.clone()
		p.mem.failAt = n
		_, err := p.plan()
		if err == nil {
			if n == 1 {
				t.Error("nothing was read")
			}
			return
		}
		if !errors.Is(err, errFake) {
			t.Errorf("operation %d: %v", n, err)
		}
		sameMemory(t, fmt.Sprint("operation ", n), p.mem.mappings, before)
	}
}
