// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/arch/arm64"
	"github.com/ulpatch/ulpatch/format/payload"
)

// Instructions of aarch64.
const (
	aNop     = 0xd503201f
	aBTI     = 0xd503245f // bti c
	aPACIASP = 0xd503233f
	aRet     = 0xd65f03c0
)

func insns(words ...uint32) []byte {
	var code []byte
	for _, w := range words {
		code = binary.LittleEndian.AppendUint32(code, w)
	}
	return code
}

// onArm64 is aProcess on aarch64: size bytes of code, which begin with first. The
// new function begins with bti c.
func onArm64(size uint64, first ...uint32) *planned {
	p := aProcess()
	p.v.arch = arm64.Arch
	p.v.guards = &proc.Maps{}
	text := bytes.Repeat(insns(aNop), 1024)
	copy(text, insns(first...))
	p.mem.mappings[textAt] = text
	p.v.modules[0].Machine = elf.EM_AARCH64
	p.v.modules[0].Progs = append(p.v.modules[0].Progs, elf.ProgHeader{Type: ptGNUProperty})
	sum := sha256.Sum256(text[:size])
	p.file.Machine = elf.EM_AARCH64
	s := &p.file.Sections[0]
	s.Data = insns(aBTI, 0x94000000, aNop, aRet) // bl g
	s.Relocs = []payload.Reloc{{Off: 4, Type: uint32(elf.R_AARCH64_CALL26), Symbol: 1}}
	f := &p.file.Table.Functions[0]
	f.Size, f.Room, f.Digest = size, size, hex.EncodeToString(sum[:])
	return p
}

// crowd leaves no room within reach of b.
func (p *planned) crowd() {
	p.v.maps = append(proc.Maps{{Start: minAddr, End: textAt, Perms: "---p"}}, p.v.maps[0],
		proc.Mapping{Start: textAt + 0x1000, End: 1 << 30, Perms: "---p"})
}

func (p *planned) guard() {
	p.v.guards = &proc.Maps{{Start: textAt, End: textAt + 0x1000, Perms: "r-xp"}}
}

// activate writes a plan's edits and makes its patch active.
func (p *planned) activate(t *testing.T, pl *plan, sequence uint64) *record {
	t.Helper()
	for _, e := range pl.edits {
		live := p.mem.find(e.at, len(e.old))
		if !bytes.Equal(live, e.old) {
			t.Fatalf("% x at %#x, the plan expects % x", live, uint64(e.at), e.old)
		}
		copy(live, e.new)
	}
	r := pl.parts[0].record
	r.State, r.Sequence = Active, sequence
	p.v.records = append(p.v.records, r)
	return r
}

// TestEntries: what is written at the entry of a function, and who has begun
// with it.
func TestEntries(t *testing.T) {
	for _, c := range []struct {
		name   string
		size   uint64
		first  []uint32
		skip   arch.Addr
		pad    []byte
		began  arch.Addr // the first offset at which a thread has begun
		length int
	}{
		{"no pad", 4, nil, 0, nil, 4, 4},
		{"bti", 8, []uint32{aBTI}, 4, nil, 8, 4},
		{"paciasp", 8, []uint32{aPACIASP}, 0, insns(aBTI), 4, 8},
	} {
		p := onArm64(c.size, c.first...)
		before := bytes.Clone(p.mem.find(textAt, 64))
		pl, err := p.plan()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		e := pl.edits[0]
		r := pl.parts[0].record
		off, _, _ := pl.parts[0].layout.Symbol("new_f")
		jump, err := arm64.Arch.Jump(textAt+c.skip+arch.Addr(len(c.pad)), r.Base+arch.Addr(off))
		if err != nil || e.at != textAt+c.skip || len(e.new) != c.length || len(e.old) != c.length || !bytes.Equal(e.new, append(bytes.Clone(c.pad), jump...)) {
			t.Errorf("%s: %+v, want % x % x, %v", c.name, e, c.pad, jump, err)
		}
		for at := arch.Addr(0); at < arch.Addr(c.size); at += 4 {
			inside := slices.ContainsFunc(pl.quiet, func(z zone) bool { return z.holds(textAt+at, true) })
			if inside != (at >= c.began) {
				t.Errorf("%s: a thread at +%d is inside: %v", c.name, at, inside)
			}
		}
		if !bytes.Equal(p.mem.find(textAt, 64), before) {
			t.Errorf("%s: a plan has written", c.name)
		}
		p.activate(t, pl, 1)
		second, err := p.plan()
		if err != nil {
			t.Fatalf("%s: on top: %v", c.name, err)
		}
		if s := second.parts[0].record.Sites[0]; !bytes.Equal(second.edits[0].old, e.new) || !bytes.Equal(s.Pristine, e.old) || !bytes.Equal(s.Pad, c.pad) {
			t.Errorf("%s: on top: %+v, %+v", c.name, second.edits[0], s)
		}
		under := &commit{edits: second.edits}
		for at := arch.Addr(0); at < 12; at += 4 {
			// Behind the pad of the jump, which is about to go.
			among := at > c.skip && at < c.skip+arch.Addr(c.length)
			if inside := slices.ContainsFunc(under.zones(), func(z zone) bool { return z.holds(textAt+at, true) }); inside != among {
				t.Errorf("%s: a thread at +%d is among the bytes to be replaced: %v", c.name, at, inside)
			}
		}
	}
	for _, c := range []struct {
		size  uint64
		first uint32
		want  string
	}{
		{4, aPACIASP, "4 bytes are too few for a landing pad of 4 and a jump of 4"},
		{4, aBTI, "4 bytes are too few for a landing pad of 4 and a jump of 4"},
	} {
		if _, err := onArm64(c.size, c.first).plan(); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// TestFarAway: without room within reach of a jump, the payload goes further away,
// with far jumps, and patches of both sorts can stand on each other.
func TestFarAway(t *testing.T) {
	p := onArm64(64, aPACIASP)
	p.crowd()
	far, err := p.plan()
	if err != nil {
		t.Fatal(err)
	}
	base := far.parts[0].record.Base
	if base < 1<<30 || uint64(base-textAt) > arm64.Arch.FarReach {
		t.Errorf("base %#x", uint64(base))
	}
	off, _, _ := far.parts[0].layout.Symbol("new_f")
	want := append(insns(aBTI), arm64.Arch.FarJump(base+arch.Addr(off))...)
	if e := far.edits[0]; e.at != textAt || !bytes.Equal(e.new, want) {
		t.Errorf("%+v, want % x", e, want)
	}
	if got := far.parts[0].image.Indirect; !slices.Equal(got, []arch.Addr{textAt + 512}) {
		t.Errorf("indirect branches to %#x", got)
	}

	image := bytes.Clone(p.mem.find(textAt, 64))
	apart := onArm64(64, aPACIASP) // with room nearby
	apart.mem = p.mem
	for i, order := range [][]*planned{{p, apart}, {apart, p}, {apart, apart, p, apart}} {
		copy(p.mem.find(textAt, 64), image)
		var records []*record
		for n, q := range order {
			q.v.records = records
			pl, err := q.plan()
			if err != nil {
				t.Fatalf("%d: %v", i, err)
			}
			if r := q.activate(t, pl, uint64(n+1)); r.Sites[0].Pad == nil || !bytes.Equal(r.Sites[0].Pristine, image[:len(r.Sites[0].Pristine)]) {
				t.Errorf("%d: %+v", i, r.Sites[0])
			}
			records = q.v.records
		}
		for n := len(records) - 1; n >= 0; n-- {
			newest := records[n]
			longest := pristine(records, textAt)
			now, err := newest.content(arm64.Arch, newest.Sites[0], longest)
			if err != nil || !bytes.Equal(p.mem.find(textAt, len(longest)), now) {
				t.Errorf("%d: patch %d: % x at the entry, want % x, %v", i, n, p.mem.find(textAt, len(longest)), now, err)
			}
			holds := func(r *record) bool { return isActive(r) && r != newest }
			e, err := handOverSite(records, arm64.Arch, p.mem, newest.Sites[0], holds)
			if err != nil {
				t.Fatalf("%d: take back patch %d: %v", i, n, err)
			}
			copy(p.mem.find(e.at, len(e.new)), e.new)
			newest.State = Reverted
		}
		if !bytes.Equal(p.mem.find(textAt, 64), image) {
			t.Errorf("%d: the function is % x, was % x", i, p.mem.find(textAt, 64), image)
		}
	}

	small := onArm64(16, aPACIASP)
	small.crowd()
	if _, err := small.plan(); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "no free range") || !strings.Contains(err.Error(), "16 bytes are too few for a landing pad of 4 and a jump of 16") {
		t.Errorf("%v", err)
	}
}

// TestLandings: what is guarded, and what may not be branched to there.
func TestLandings(t *testing.T) {
	guarded := func(p *planned) (bool, error) {
		pl, err := p.plan()
		if err != nil {
			return false, err
		}
		return pl.parts[0].guarded, nil
	}
	address := payload.Section{Name: ".data", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Align: 8, Size: 8, Data: make([]byte, 8)}
	takes := func(typ elf.R_AARCH64) payload.Section {
		s := address
		s.Relocs = []payload.Reloc{{Type: uint32(typ), Symbol: 0}}
		return s
	}
	for _, c := range []struct {
		name   string
		change func(*planned)
		want   bool
		err    string
	}{
		{"not guarded", func(*planned) {}, false, ""},
		{"guarded", (*planned).guard, true, ""},
		{"not of an image that asks for it", func(p *planned) { p.guard(); p.v.modules[0].Progs = p.v.modules[0].Progs[:1] }, false, ""},
		{"new code was not built for it", func(p *planned) { p.guard(); copy(p.file.Sections[0].Data, insns(aNop)) }, false, ""},
		{"address of code with a pad", func(p *planned) { p.guard(); p.file.Sections = append(p.file.Sections, takes(elf.R_AARCH64_ABS64)) }, true, ""},
		{"static functions have no pads", func(p *planned) {
			p.guard()
			copy(p.file.Sections[0].Data, insns(aNop))
			p.rewrite(aNop)
		}, true, ""},
		{"but for those whose address is taken", func(p *planned) {
			p.guard()
			copy(p.file.Sections[0].Data, insns(aNop))
			p.rewrite(aNop)
			p.file.Sections = append(p.file.Sections, takes(elf.R_AARCH64_ABS64))
		}, false, ""},
		{"far, from no guard", func(p *planned) { p.crowd() }, false, ""},
		{"far", func(p *planned) { p.crowd(); p.guard(); copy(p.mem.find(textAt+512, 4), insns(aPACIASP)) }, true, ""},
		{"far to code without a pad", func(p *planned) {
			p.crowd()
			p.guard()
			copy(p.mem.find(textAt+512, 4), insns(aPACIASP))
			copy(p.file.Sections[0].Data, insns(aNop))
		}, false, "its new code is out of a jump's reach, and no indirect branch may go there"},
		{"far call of code without a pad", func(p *planned) { p.crowd(); p.guard() }, false, "is out of a call's reach, and no indirect branch may go there"},
	} {
		p := onArm64(64, aBTI)
		c.change(p)
		got, err := guarded(p)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && (!errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, %v; want %v, %q", c.name, got, err, c.want, c.err)
		}
	}
}

// rewrite changes the first instruction of the old function.
func (p *planned) rewrite(first uint32) {
	text := p.mem.find(textAt, 64)
	copy(text, insns(first))
	sum := sha256.Sum256(text)
	p.file.Table.Functions[0].Digest = hex.EncodeToString(sum[:])
}
