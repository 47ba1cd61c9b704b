// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"debug/elf"

	"github.com/ulpatch/ulpatch/applier/link"
	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format/payload"
)

// ptGNUProperty is the program header of images that say which protection their
// code was built for.
const ptGNUProperty elf.ProgType = 0x6474e553

// guarded tells whether code is mapped so that indirect branches have to go to
// landing pads.
func (v *view) guarded(at arch.Addr) (bool, error) {
	flag := v.arch.Syscall.GuardedFlag
	if flag == "" {
		return false, nil
	}
	if m := module.Find(v.modules, at); m != nil {
		if _, ok := m.Prog(ptGNUProperty); !ok {
			return false, nil
		}
	}
	if v.guards == nil {
		guards, err := proc.Flagged(v.live, flag)
		if err != nil {
			return false, err
		}
		v.guards = &guards
	}
	_, ok := v.guards.Find(at)
	return ok, nil
}

// landings tells whether the code of a payload is to be guarded, as its image's
// is, and makes sure that every indirect branch that comes with the patch goes to
// a landing pad where it has to.
func landings(v *view, mem module.Memory, rec *record, f *payload.File, image *link.Image) (bool, error) {
	for _, to := range image.Indirect {
		guarded, err := v.guarded(to)
		if err != nil {
			return false, err
		}
		if guarded && !v.lands(mem, to) {
			return false, refused("%#x is out of a call's reach, and no indirect branch may go there", uint64(to))
		}
	}
	for _, s := range rec.Sites {
		guarded, err := v.guarded(arch.Addr(s.Function))
		if err != nil || !guarded {
			return false, err
		}
		if far := len(s.Pristine)-len(s.Pad) != v.arch.JumpSize; far && !v.arch.Lands(image.Bytes[s.New:]) {
			return false, refused("function %s: its new code is out of a jump's reach, and no indirect branch may go there", s.Name)
		}
	}
	return builtForGuard(v.arch, rec, f, image), nil
}

func (v *view) lands(mem module.Memory, at arch.Addr) bool {
	code := make([]byte, len(v.arch.LandingPad))
	return mem.Read(at, code) == nil && v.arch.Lands(code)
}

// builtForGuard tells whether a payload has landing pads where code of its image,
// or its own, may branch indirectly: where the old functions have them, and at
// functions whose address is taken. Where one lacks, the patch was not compiled
// as the image was, and its code has to go without a guard.
func builtForGuard(a *arch.Arch, rec *record, f *payload.File, image *link.Image) bool {
	for _, s := range rec.Sites {
		old := s.At != s.Function || a.Lands(s.Pristine)
		if old && !a.Lands(image.Bytes[s.New:]) {
			return false
		}
	}
	type place struct {
		section int
		off     uint64
	}
	pads := map[place]bool{} // of functions
	for _, s := range f.Symbols {
		if s.Type == elf.STT_FUNC && s.Section >= 0 {
			code := f.Sections[s.Section].Data
			pads[place{s.Section, s.Value}] = s.Value < uint64(len(code)) && a.Lands(code[s.Value:])
		}
	}
	for _, section := range f.Sections {
		if section.Flags&elf.SHF_ALLOC == 0 || section.Name == ".eh_frame" {
			continue
		}
		for _, r := range section.Relocs {
			if r.Symbol == payload.NoSymbol || section.Flags&elf.SHF_EXECINSTR != 0 && a.BranchReloc(r.Type, section.Data, int(r.Off)) {
				continue
			}
			s := f.Symbols[r.Symbol]
			if pad, ok := pads[place{s.Section, s.Value + uint64(r.Addend)}]; ok && !pad {
				return false
			}
		}
	}
	return true
}
