// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format"
)

// TestLinkerAgrees takes every function of an unchanged unit for changed, and
// compares where each reference of the payload goes with what the linker wrote
// into the image at the same place.
func TestLinkerAgrees(t *testing.T) {
	fixtures := []string{"additions", "alias", "cold", "constant", "end", "goto", "library", "line", "list", "numbered", "pointer", "resolver", "startup", "switch", "thread-local", "two-units"}
	modes := []struct {
		name   string
		cflags []string
		link   []string
		cc     string // "" for gcc
	}{
		{name: "pie", cflags: []string{"-O2", "-fPIE"}, link: []string{"-pie"}},
		{name: "no-pie", cflags: []string{"-O2", "-fno-pie"}, link: []string{"-no-pie"}},
		{name: "static", cflags: []string{"-O2", "-fno-pie"}, link: []string{"-static"}},
		{name: "static-pie", cflags: []string{"-O1", "-fPIE"}, link: []string{"-static-pie"}},
		{name: "shared", cflags: []string{"-O2", "-fPIC"}, link: []string{"-shared"}},
		{name: "no-plt", cflags: []string{"-O2", "-fPIE", "-fno-plt"}, link: []string{"-pie"}},
		{name: "cet", cflags: []string{"-O3", "-fPIE", "-fcf-protection=full"}, link: []string{"-pie", "-Wl,-z,ibtplt"}},
		{name: "O0", cflags: []string{"-O0", "-fPIE"}, link: []string{"-pie"}},
		{name: "Os", cflags: []string{"-Os", "-fPIC"}, link: []string{"-pie", "-Wl,--gc-sections"}},
		{name: "gold", cflags: []string{"-O2", "-fPIC"}, link: []string{"-pie", "-fuse-ld=gold"}},
		{name: "relr", cflags: []string{"-O2", "-fPIE"}, link: []string{"-pie", "-Wl,-z,pack-relative-relocs"}},
		{name: "large", cflags: []string{"-O2", "-fno-pie", "-mcmodel=large"}, link: []string{"-no-pie"}},
		{name: "large-pic", cflags: []string{"-O2", "-fPIC", "-mcmodel=large"}, link: []string{"-pie"}},
		{name: "clang", cc: "clang", cflags: []string{"-O2", "-fPIE"}, link: []string{"-pie"}},
		{name: "clang-O0", cc: "clang", cflags: []string{"-O0", "-fPIC"}, link: []string{"-pie", "-fuse-ld=lld"}},
		{name: "clang-Os", cc: "clang", cflags: []string{"-Os", "-fno-pie"}, link: []string{"-no-pie", "-fuse-ld=lld", "-Wl,--gc-sections,-z,nostart-stop-gc"}},
		{name: "clang-O3-shared", cc: "clang", cflags: []string{"-O3", "-fPIC", "-fcf-protection=full"}, link: []string{"-shared", "-fuse-ld=lld"}},
		{name: "clang-large", cc: "clang", cflags: []string{"-O1", "-fPIC", "-mcmodel=large"}, link: []string{"-pie"}},
		{name: "clang-no-plt", cc: "clang", cflags: []string{"-O2", "-fPIE", "-fno-plt"}, link: []string{"-pie", "-fuse-ld=lld"}},
		{name: "cross", cc: crossGCC, cflags: []string{"-O2", "-fPIE"}, link: []string{"-pie"}},
		{name: "cross-no-pie", cc: crossGCC, cflags: []string{"-O1", "-fno-pie"}, link: []string{"-no-pie"}},
		{name: "cross-shared", cc: crossGCC, cflags: []string{"-O2", "-fPIC"}, link: []string{"-shared"}},
		{name: "cross-bti", cc: crossGCC, cflags: []string{"-Os", "-fPIC", "-mbranch-protection=standard"}, link: []string{"-pie", "-Wl,-z,force-bti,--gc-sections"}},
		{name: "cross-large", cc: crossGCC, cflags: []string{"-O2", "-fno-pie", "-mcmodel=large"}, link: []string{"-no-pie"}},
		{name: "cross-clang", cc: crossClang, cflags: []string{"-O2", "-fPIE"}, link: []string{"-pie"}},
		{name: "cross-clang-O0", cc: crossClang, cflags: []string{"-O0", "-fPIE"}, link: []string{"-pie", "-fuse-ld=lld"}},
		{name: "cross-clang-Os", cc: crossClang, cflags: []string{"-Os", "-fPIC"}, link: []string{"-shared", "-fuse-ld=lld"}},
	}
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			references := 0
			for _, f := range fixtures {
				switch {
				case f == "library" && mode.name != "shared": // it has no main
				case f == "alias" && mode.name == "static-pie":
					// ld sends the call of an undefined weak function through a PLT
					// entry whose slot is one byte off; that is rightly not proved.
				case f == "resolver" && strings.Contains(mode.name, "large"): // ld does not link it
				default:
					references += everything(t, mode.cc, mode.cflags, mode.link, f)
				}
			}
			if references < 25 {
				t.Errorf("only %d references were compared", references)
			}
		})
	}
}

// everything builds the patch that replaces all of a fixture's functions and
// returns how many of its references were compared.
func everything(t *testing.T, cc string, cflags, link []string, fixture string) int {
	t.Helper()
	l := newLab(t, cflags...)
	if cc != "" {
		l.cc = cc
	}
	objects := []string{l.object(fixture + "/orig")}
	for _, more := range []string{"/other", "/other_orig"} {
		if _, err := os.Stat(filepath.Join("testdata", fixture+more+".c")); err == nil {
			objects = append(objects, l.object(fixture+more))
		}
	}
	path := l.link("image", append(objects, link...)...)
	m, err := readImage(path, l.section(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	data := l.read(objects[0])
	orig, err := readObject("orig.o", data)
	if err != nil {
		t.Fatal(err)
	}
	fixed, err := readObject("fixed.o", bytes.Clone(data))
	if err != nil {
		t.Fatal(err)
	}
	u := newUnit(fixture, orig, fixed, nil, false)
	if len(u.changed)+len(u.constants)+len(u.troubles) > 0 {
		t.Errorf("%s: an object differs from itself", fixture)
	}
	for _, f := range fixed.atoms {
		if f.kind == kindCode && f.parent == nil {
			u.changed[f] = &Difference{}
		}
	}
	loc := locate(u, orig, m)
	if _, bad := loc.tally(); bad > 0 {
		t.Errorf("%s: not proved: %s", fixture, loc.firstProblem())
	}
	p := newPatch(m, []*location{loc})
	p.build()
	for _, r := range p.refusals {
		if r.Code != CodeFunctionTooSmall && r.Code != CodeFolded && r.Code != CodeIFUNC {
			t.Errorf("%s: %v", fixture, r)
		}
	}
	compared := 0
	for a, dests := range p.dests {
		o := u.pairs.toOrig[a]
		if o == nil || a.kind != kindCode || !loc.proved(o) {
			continue
		}
		for i, d := range dests {
			if agree(t, loc, fixture, o, &o.refs[i], d) {
				compared++
			}
		}
	}
	return compared
}

// agree compares one reference with the image; false where the image's field
// does not tell an address.
func agree(t *testing.T, l *location, fixture string, o *atom, r *ref, d dest) bool {
	t.Helper()
	m, h := l.image, l.image.arch.Relocs[r.typ]
	at := l.addr[o] + arch.Addr(r.off)
	linked, err := m.read(l.addr[o], o.size)
	if err != nil {
		t.Fatal(err)
	}
	if _, rewritten := m.arch.Relax(r.typ, o.data, linked, int(r.off)); rewritten || d.imp == nil || h.Size == 0 || d.imp.Name == "__tls_get_addr" {
		return false
	}
	by, v, ok := h.Expr.Solve(h.Field.Get(linked[r.off:]), arch.Operands{A: r.addend, P: at, GOT: l.got})
	if !ok {
		return partly(t, fixture, o, r, d, h, linked, at)
	}
	want := arch.Addr(v)
	if by == 'S' && d.imp.Kind == format.ImportImage {
		if h.Size == 4 && !o.object.pcRelative(r.typ) {
			want = arch.Addr(uint32(v))
		}
		if got := arch.Addr(d.imp.Addr) + arch.Addr(d.addend-r.addend); got != want {
			if w, err := m.word(m.dyn.stubs[want]); err == nil && w.ifunc {
				return false
			}
			t.Errorf("%s: %s+%#x: %s to %s: bound to %#x, the linker took %#x", fixture, o, r.off, h.Name, r.referent(), uint64(got), uint64(want))
		}
		return true
	}
	if by == 'S' && d.imp.Kind == format.ImportDynamic && !d.imp.Weak {
		w, err := m.word(m.dyn.stubs[want])
		if err != nil || w.sym == nil || w.sym.name != d.imp.Name {
			t.Errorf("%s: %s+%#x: %s to %s: dynamic, the linker took %#x", fixture, o, r.off, h.Name, d.imp.Name, uint64(want))
		}
		return true
	}
	if by == 'G' && h.Need == arch.NeedGOT {
		w, err := m.word(want)
		switch {
		case err != nil:
			t.Error(err)
		case w.sym != nil && (d.imp.Kind != format.ImportDynamic || d.imp.Name != w.sym.name || d.imp.Slot == 0):
			t.Errorf("%s: %s+%#x: %s: %+v, the linker took the slot of %s", fixture, o, r.off, h.Name, d.imp.Import, w.sym.name)
		case w.sym == nil && !w.ifunc && d.imp.Kind == format.ImportImage && arch.Addr(d.imp.Addr) != w.addr:
			t.Errorf("%s: %s+%#x: %s: bound to %v, the slot has %#x", fixture, o, r.off, h.Name, d.imp.Addr, uint64(w.addr))
		}
		return true
	}
	return false
}

// partly is agree for a field that tells a part of the address.
func partly(t *testing.T, fixture string, o *atom, r *ref, d dest, h arch.Howto, linked []byte, at arch.Addr) bool {
	t.Helper()
	place := linked[r.off : r.off+uint64(h.Size)]
	c, ok := h.Clue(place, arch.Operands{A: r.addend, P: at})
	if !ok || c.By != 'S' || d.imp.Kind != format.ImportImage {
		return false
	}
	got := bytes.Clone(place)
	if err := h.Apply(got, arch.Operands{S: arch.Addr(d.imp.Addr), A: d.addend, P: at}); err != nil || !bytes.Equal(got, place) {
		t.Errorf("%s: %s+%#x: %s to %s: bound to %v: % x, the linker wrote % x", fixture, o, r.off, h.Name, r.referent(), d.imp.Addr, got, place)
	}
	return true
}

// TestProofIsComplete: of a whole image, every function that has an object is
// proved, so that nothing is left out by mistake.
func TestProofIsComplete(t *testing.T) {
	l := newLab(t, "-O2", "-fPIE")
	opts := l.simple("additions", "-pie")
	r, _ := l.diffed(opts)
	p := r.Report.Images[0].Proofs[0]
	if p.Exact+p.Relaxed < 4 || p.Different+p.Absent+p.Foreign > 0 {
		t.Errorf("%+v", p)
	}
	// One byte of a function that did not change.
	image := l.read(l.path("program"))
	m, err := readImage("program", l.section(l.path("program")), nil)
	if err != nil {
		t.Fatal(err)
	}
	helper := m.named["helper"][0]
	at := m.segment(helper.addr, 1)
	image[at.Off+uint64(helper.addr)-at.Vaddr+2] ^= 0x40
	if err := os.WriteFile(l.path("program"), image, 0o600); err != nil {
		t.Fatal(err)
	}
	opts.Images[0] = l.image(l.path("program"))
	if all := l.refused(opts, CodeImageMismatch); !strings.Contains(all.Error(), "helper") {
		t.Errorf("%v", all)
	}
}
