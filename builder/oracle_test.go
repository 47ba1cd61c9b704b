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
	}{
		{"pie", []string{"-O2", "-fPIE"}, []string{"-pie"}},
		{"no-pie", []string{"-O2", "-fno-pie"}, []string{"-no-pie"}},
		{"static", []string{"-O2", "-fno-pie"}, []string{"-static"}},
		{"static-pie", []string{"-O1", "-fPIE"}, []string{"-static-pie"}},
		{"shared", []string{"-O2", "-fPIC"}, []string{"-shared"}},
		{"no-plt", []string{"-O2", "-fPIE", "-fno-plt"}, []string{"-pie"}},
		{"cet", []string{"-O3", "-fPIE", "-fcf-protection=full"}, []string{"-pie", "-Wl,-z,ibtplt"}},
		{"O0", []string{"-O0", "-fPIE"}, []string{"-pie"}},
		{"Os", []string{"-Os", "-fPIC"}, []string{"-pie", "-Wl,--gc-sections"}},
		{"gold", []string{"-O2", "-fPIC"}, []string{"-pie", "-fuse-ld=gold"}},
		{"relr", []string{"-O2", "-fPIE"}, []string{"-pie", "-Wl,-z,pack-relative-relocs"}},
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
				default:
					references += everything(t, mode.cflags, mode.link, f)
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
func everything(t *testing.T, cflags, link []string, fixture string) int {
	t.Helper()
	l := newLab(t, cflags...)
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
	u := newUnit(fixture, orig, fixed, nil)
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
		return false
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
