// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"slices"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/format"
)

// TestChanges: which functions are redirected, what is brought along and what
// is found in the image, for each kind of change.
func TestChanges(t *testing.T) {
	tests := []struct {
		fixture string
		changed string // functions that are redirected
		brings  string // symbols that the payload defines beside them
		binds   string // symbols that it finds in the process
		lacks   string // symbols that it must not define
	}{
		{fixture: "body", changed: "parse", binds: "helper puts strlen total"},
		{fixture: "additions", changed: "parse", brings: "checked seen depth note calls.0", binds: "helper puts strlen total"},
		{fixture: "import", changed: "parse", binds: "helper puts strlen strspn total"},
		{fixture: "string", changed: "parse", binds: "helper puts strlen total"},
		{fixture: "line", changed: "above checks main", binds: "fail silent"},
		{fixture: "numbered", changed: "one three", brings: "count.5", binds: "count.1 fail", lacks: "two"},
		{fixture: "removed", changed: "one", binds: "other.1", lacks: "two"},
		{fixture: "inlined", changed: "first main second", binds: "count.0"},
		{fixture: "cold", changed: "work", brings: "work.cold", binds: "report"},
		{fixture: "constant", changed: "pick row", brings: "primes rows", lacks: "none"},
		{fixture: "thread-local", changed: "pick", binds: "mine room"},
		{fixture: "padded", changed: "nothing", binds: "flag"},
		{fixture: "pointer", changed: "act choose", binds: "act.orig both chosen stay"},
		{fixture: "switch", changed: "scale step", binds: "state"},
		{fixture: "goto", changed: "run", brings: "labels.0"},
		{fixture: "alias", changed: "other_name use", binds: "cell maybe soft"},
		{fixture: "end", changed: "sum", binds: "before behind values"},
	}
	for _, test := range tests {
		for _, pic := range []string{"-fPIE", "-fno-pie"} {
			t.Run(test.fixture+pic, func(t *testing.T) {
				t.Parallel()
				l := newLab(t, "-O2", pic)
				link := []string{"-pie"}
				if pic == "-fno-pie" {
					link = []string{"-no-pie"}
				}
				_, files := l.diffed(l.simple(test.fixture, link...))
				f := files[0]
				if got, want := functionNames(f), strings.Fields(test.changed); !slices.Equal(got, want) {
					t.Errorf("changed %v, expected %v", got, want)
				}
				for _, name := range strings.Fields(test.brings) {
					if !defines(f, name) {
						t.Errorf("%s is not brought along", name)
					}
				}
				for _, name := range strings.Fields(test.lacks) {
					if defines(f, name) {
						t.Errorf("%s is brought along", name)
					}
				}
				if got, want := importNames(f), strings.Fields(test.binds); !slices.Equal(got, want) {
					t.Errorf("binds %v, expected %v", got, want)
				}
			})
		}
	}
}

// TestRefusals: each change that a process cannot take, by its code.
func TestRefusals(t *testing.T) {
	tests := []struct {
		fixture string
		code    Code
		name    string // in the message
		ldflags []string
	}{
		{fixture: "initialiser", code: CodeDataInitialiser, name: "level"},
		{fixture: "size", code: CodeVariableSize, name: "table"},
		{fixture: "layout", code: CodeLayout, name: "state"},
		{fixture: "kind", code: CodeVariableKind, name: "level"},
		{fixture: "shared-constant", code: CodeSharedConstant, name: "primes"},
		{fixture: "startup", code: CodeInitArray, name: ".init_array"},
		{fixture: "list", code: CodeSectionEntry, name: "commands"},
		{fixture: "new-thread-local", code: CodeThreadLocal, name: "yours"},
		{fixture: "small", code: CodeFunctionTooSmall, name: "tiny"},
		{fixture: "looped", code: CodeFunctionTooSmall, name: "pick"},
		{fixture: "folded", code: CodeFolded, name: "two", ldflags: []string{"-fuse-ld=gold", "-Wl,--icf=all"}},
		{fixture: "twins", code: CodeAmbiguous, name: "n."},
		{fixture: "resolver", code: CodeIFUNC, name: "chosen"},
	}
	for _, test := range tests {
		t.Run(test.fixture, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			all := l.refused(l.simple(test.fixture, test.ldflags...), test.code)
			if !strings.Contains(all.Error(), test.name) {
				t.Errorf("%q does not name %q", all, test.name)
			}
			for _, r := range all {
				if r.Place == "" || r.Detail == "" {
					t.Errorf("%v: no place or no detail", r)
				}
			}
		})
	}
}

func TestNothingChanged(t *testing.T) {
	l := newLab(t)
	opts := l.simple("body")
	opts.Pairs[0].Fixed = opts.Pairs[0].Orig
	l.refused(opts, CodeNothingChanged)
	// Other bytes, the same functions and data.
	opts.Pairs[0].Fixed = l.read(l.object("body/orig", "-fno-ident"))
	l.refused(opts, CodeNothingChanged)
}

func TestSwapped(t *testing.T) {
	l := newLab(t)
	opts := l.simple("body")
	p := &opts.Pairs[0]
	p.Orig, p.Fixed = p.Fixed, p.Orig
	l.refused(opts, CodeSwapped)
}

// TestMismatch: other flags, another version: the first difference is shown.
func TestMismatch(t *testing.T) {
	l := newLab(t)
	opts := l.simple("body")
	l.diffed(opts)
	opts.Pairs[0] = l.pair("body.o", l.object("body/orig", "-O1"), l.object("body/fixed", "-O1"))
	all := l.refused(opts, CodeImageMismatch)
	if !strings.Contains(all.Error(), "instead of") {
		t.Errorf("%q does not show a difference", all)
	}
	opts.Pairs[0] = l.pair("body.o", l.object("string/fixed"), l.object("body/fixed"))
	all = l.refused(opts, CodeImageMismatch)
	if !strings.Contains(all.Error(), `"Parsed"`) {
		t.Errorf("%q does not name the string", all)
	}
}

func TestNotInImage(t *testing.T) {
	l := newLab(t)
	opts := l.simple("body")
	opts.Pairs[0] = l.pair("library.o", l.object("library/orig"), l.object("library/fixed"))
	l.refused(opts, CodeNotInImage)
	// Beside a unit that is in the image it is a warning.
	opts.Pairs = append(opts.Pairs, l.pair("body.o", l.object("body/orig"), l.object("body/fixed")))
	r, _ := l.diffed(opts)
	if len(r.Report.Warnings) != 1 || !strings.Contains(r.Report.Warnings[0], "library.o") {
		t.Errorf("warnings %q", r.Report.Warnings)
	}
	opts.Strict = true
	if r, err := Diff(opts); err == nil || len(r.Payloads) > 0 {
		t.Error("strict: a patch in spite of a warning")
	}
}

func TestStripped(t *testing.T) {
	l := newLab(t, "-O2", "-g")
	opts := l.simple("body")
	_, want := l.diffed(opts)
	program, stripped, debug := l.path("program"), l.path("stripped"), l.path("debug")
	l.run("objcopy", "--only-keep-debug", program, debug)
	l.run("objcopy", "--strip-all", program, stripped)
	opts.Images[0] = l.image(stripped)
	l.refused(opts, CodeNoSymbols)
	if err := AttachDebug(opts.Images, debug, l.section(debug)); err != nil {
		t.Fatal(err)
	}
	_, got := l.diffed(opts)
	if got[0].Table.Functions[0].Digest != want[0].Table.Functions[0].Digest {
		t.Error("another digest with a separate debug image")
	}
	other := l.link("other", l.object("string/orig"), "-Wl,--build-id=0x1234567890")
	if err := AttachDebug(opts.Images, other, l.section(other)); err == nil {
		t.Error("a debug image of another build was taken")
	}
	opts.Images[0].Debug = l.section(other)
	l.refused(opts, CodeImageMismatch)
}

func TestNoBuildID(t *testing.T) {
	l := newLab(t)
	opts := l.simple("body", "-Wl,--build-id=none")
	l.refused(opts, CodeImageMismatch)
}

// TestCallsAndAddresses: a call goes to the new code, an address is the
// original entry.
func TestCallsAndAddresses(t *testing.T) {
	l := newLab(t)
	_, files := l.diffed(l.simple("pointer"))
	f := files[0]
	names := map[string]int{}
	for _, s := range f.Sections {
		for _, r := range s.Relocs {
			names[f.Symbols[r.Symbol].Name]++
		}
	}
	if names["act"] == 0 || names["act.orig"] != 1 {
		t.Errorf("references: %v", names)
	}
	act := f.Table.Functions[slices.IndexFunc(f.Table.Functions, func(x format.Function) bool { return x.Name == "act" })]
	if imp := findImport(t, f, "act.orig"); imp.Addr != act.Addr || !imp.Func || imp.Kind != format.ImportImage {
		t.Errorf("act.orig is %+v, act at %v", imp, act.Addr)
	}
}

// TestPreemption: a shared library reaches its default-visibility definitions
// through the dynamic linker where the original code did.
func TestPreemption(t *testing.T) {
	l := newLab(t, "-O2", "-fPIC")
	_, files := l.diffed(l.simple("library", "-shared"))
	f := files[0]
	for _, name := range []string{"exported_check", "exported_level"} {
		if imp := findImport(t, f, name); imp.Kind != format.ImportDynamic || imp.Slot == 0 || imp.Name != name {
			t.Errorf("%s: %+v", name, imp)
		}
	}
	for _, name := range []string{"inner_check", "guarded_check", "inner_level"} {
		if imp := findImport(t, f, name); imp.Kind != format.ImportImage || imp.Addr == 0 {
			t.Errorf("%s: %+v", name, imp)
		}
	}
	if imp := findImport(t, f, "strlen"); imp.Version == "" || !imp.Func {
		t.Errorf("strlen: %+v", imp)
	}
	_, files = l.diffed(l.simple("library", "-shared", "-Wl,-Bsymbolic"))
	if imp := findImport(t, files[0], "exported_check"); imp.Kind != format.ImportImage {
		t.Errorf("-Bsymbolic: %+v", imp)
	}
}

// TestThreadLocal: in each model the import is the variable's place in the
// image's own block.
func TestThreadLocal(t *testing.T) {
	for _, flags := range [][]string{{"-fPIE"}, {"-fPIE", "-ftls-model=initial-exec"}, {"-fPIC"}, {"-fPIC", "-mtls-dialect=gnu2"}, {"-fno-pie"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			l := newLab(t, append([]string{"-O2"}, flags...)...)
			pie := "-pie"
			if flags[0] == "-fno-pie" {
				pie = "-no-pie"
			}
			_, files := l.diffed(l.simple("thread-local", pie))
			mine, room := findImport(t, files[0], "mine"), findImport(t, files[0], "room")
			if mine.Kind != format.ImportTLS || room.Kind != format.ImportTLS || mine.Addr == room.Addr {
				t.Errorf("mine %+v, room %+v", mine, room)
			}
		})
	}
	l := newLab(t, "-O2", "-fPIC")
	_, files := l.diffed(l.simple("thread-local", "-shared"))
	if mine := findImport(t, files[0], "mine"); mine.Kind != format.ImportDynamicTLS || mine.Name != "mine" {
		t.Errorf("shared library: %+v", mine)
	}
}

// TestSameNames: the static function of the right file is patched.
func TestSameNames(t *testing.T) {
	l := newLab(t)
	orig, fixed, other := l.object("same-names/orig"), l.object("same-names/fixed"), l.object("same-names/other")
	for _, order := range [][]string{{orig, other}, {other, orig}} {
		image := l.link("program", order...)
		r, files := l.diffed(Options{ID: "test", Images: []ImageFile{l.image(image)}, Pairs: []ObjectPair{l.pair("left.o", orig, fixed)}})
		if got := functionNames(files[0]); !slices.Equal(got, []string{"act"}) {
			t.Errorf("changed %v", got)
		}
		if p := r.Report.Images[0].Proofs[0]; p.Different != 0 || p.Absent != 0 {
			t.Errorf("proof %+v", p)
		}
		f, err := elf.Open(image)
		if err != nil {
			t.Fatal(err)
		}
		syms, _ := f.Symbols()
		var right []uint64
		file := ""
		for _, s := range syms {
			if elf.ST_TYPE(s.Info) == elf.STT_FILE {
				file = s.Name
			}
			if s.Name == "act" && file == "orig.c" {
				right = append(right, s.Value)
			}
		}
		if len(right) != 1 || uint64(files[0].Table.Functions[0].Addr) != right[0] {
			t.Errorf("patched %v, expected %#x", files[0].Table.Functions[0].Addr, right)
		}
		f.Close()
	}
}

// TestTwoUnits: what one unit defines anew another one uses.
func TestTwoUnits(t *testing.T) {
	l := newLab(t)
	a, b := l.object("two-units/orig"), l.object("two-units/other_orig")
	opts := Options{ID: "test", Images: []ImageFile{l.image(l.link("program", a, b))}, Pairs: []ObjectPair{
		l.pair("a.o", a, l.object("two-units/fixed")), l.pair("b.o", b, l.object("two-units/other_fixed"))}}
	_, files := l.diffed(opts)
	if got := functionNames(files[0]); !slices.Equal(got, []string{"high", "low"}) {
		t.Errorf("changed %v", got)
	}
	if !defines(files[0], "fresh") || !defines(files[0], "fresh_count") {
		t.Error("what is new is not brought along")
	}
	if got := importNames(files[0]); !slices.Equal(got, []string{"shared_count"}) {
		t.Errorf("binds %v", got)
	}
	// A unit of its own for what is new.
	opts.Pairs = append(opts.Pairs[1:], l.pair("new.o", "", l.object("two-units/fixed", "-Dmain=unused", "-Dlow=unused_low", "-Dshared_count=unused_count")))
	_, files = l.diffed(opts)
	if got := functionNames(files[0]); !slices.Equal(got, []string{"high"}) || !defines(files[0], "fresh") {
		t.Errorf("changed %v", got)
	}
}

func TestMoved(t *testing.T) {
	l := newLab(t)
	a, b := l.object("moved/orig"), l.object("moved/other_orig")
	l.refused(Options{ID: "test", Images: []ImageFile{l.image(l.link("program", a, b))}, Pairs: []ObjectPair{
		l.pair("a.o", a, l.object("moved/fixed")), l.pair("b.o", b, l.object("moved/other_fixed"))}}, CodeMoved)
}

// TestTwoImages: one object in two images gives a payload for each.
func TestTwoImages(t *testing.T) {
	l := newLab(t)
	orig := l.object("body/orig")
	opts := Options{ID: "test", Pairs: []ObjectPair{l.pair("body.o", orig, l.object("body/fixed"))},
		Images: []ImageFile{l.image(l.link("one", orig)), l.image(l.link("two", orig, l.object("same-names/other")))}}
	r, files := l.diffed(opts)
	if len(files) != 2 || len(r.Report.Units[0].Images) != 2 {
		t.Errorf("%d payloads, images %v", len(files), r.Report.Units[0].Images)
	}
}

// TestStaticImage: what a static image does not have cannot be imported.
func TestStaticImage(t *testing.T) {
	l := newLab(t)
	_, files := l.diffed(l.simple("body", "-static"))
	if imp := findImport(t, files[0], "puts"); imp.Kind != format.ImportImage || !imp.Func {
		t.Errorf("puts: %+v", imp)
	}
	opts := l.simple("body", "-static")
	data := strings.Replace(string(opts.Pairs[0].Fixed), "\x00puts\x00", "\x00pxts\x00", 1)
	opts.Pairs[0].Fixed = []byte(data)
	l.refused(opts, CodeUndefined)
}

// TestClones: a clone that is gone takes its callers with it, and nothing
// refers to it any more.
func TestClones(t *testing.T) {
	l := newLab(t)
	_, files := l.diffed(l.simple("clone"))
	got := functionNames(files[0])
	if !slices.Contains(got, "one") || !slices.Contains(got, "two") || slices.Contains(got, "scale.constprop.0") {
		t.Errorf("changed %v", got)
	}
	if !defines(files[0], "scale") || len(files[0].Table.Imports) != 0 {
		t.Errorf("imports %v", files[0].Table.Imports)
	}
}

// TestTypeLayouts: where objects have debug information, a structure that grew or
// whose members moved is refused; a member with another name is where it was.
func TestTypeLayouts(t *testing.T) {
	for _, test := range []struct{ name, orig, fixed, refused string }{
		{"grown", "int a, b;", "int a, b, c;", "8 bytes become 12"},
		{"moved", "int a, b;", "int b, a;", "member b is at 0x0 instead of 0x4"},
		{"in the padding", "long a; char b;", "long a; char b, c;", "member c is new, at 0x9"},
		{"bits", "unsigned a : 3, b : 4;", "unsigned a : 2, b : 4;", "member b is at 0x0, bit 2 instead of 0x0, bit 3"},
		{"renamed", "int a, b;", "int a, c;", ""},
	} {
		for _, form := range []string{"struct state { %s };", "typedef struct { %s } state;"} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				l := newLab(t, "-O2", "-g")
				text := addsOne + "#include <stdlib.h>\n#ifdef FIXED\n" + strings.Replace(form, "%s", test.fixed, 1) + "\n#else\n" + strings.Replace(form, "%s", test.orig, 1) + "\n#endif\n"
				typ := "state"
				if form[0] == 's' {
					typ = "struct state"
				}
				text += "int parse(int n) { " + typ + " *s = malloc(sizeof *s); if (!s) return 0; s->a = n + ADD; n = s->a; free(s); return n; }\nint main(int c, char **v) { return parse(c); }"
				opts := l.twice(text)
				if test.refused == "" {
					l.diffed(opts)
					return
				}
				if all := l.refused(opts, CodeTypeLayout); !strings.Contains(all.Error(), test.refused) || !strings.Contains(all.Error(), "state") {
					t.Error(all)
				}
				opts.Spec = &Spec{Allow: []Allow{{Code: CodeTypeLayout, Name: "state", Reason: "r"}}}
				l.diffed(opts)
			})
		}
	}
}
