// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/payload"
)

const addsOne = `
#ifdef FIXED
#define ADD 1
#else
#define ADD 0
#endif
`

// TestRefusedObjects: what makes an object's code or symbols unusable, by code.
func TestRefusedObjects(t *testing.T) {
	tests := []struct {
		name, text string
		plain      bool
		code       Code
		names      string
	}{
		{name: "several entries", code: CodeSeveralEntries, names: "inner", text: `
int parse(int a) { a %= 37; __asm__(".globl inner\ninner: nop" : "+r"(a)); return a * 3 + ADD; }
int main(int c, char **v) { return parse(c); }`},
		{name: "a relocation that the port does not apply", code: CodeRelocation, names: "R_X86_64_PC32_BND", text: `
int parse(int a) {
#ifdef FIXED
	__asm__("nopl 0(%rax,%rax)\n.reloc .-4, R_X86_64_PC32_BND, main");
#endif
	return a % 37; }
int main(int c, char **v) { return parse(c); }`},
		{name: "code that cannot be decoded", code: CodeUndecodable, names: "parse", plain: true, text: `
int parse(int a) {
#ifdef FIXED
	__asm__("jmp 1f\n.byte 0x06, 0x06\n1:");
#endif
	return a % 37; }
int other(int a) { return a * 7; }
int main(int c, char **v) { return parse(c) + other(c); }`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, "-O2", "-fno-inline")
			if test.plain {
				l = plainLab(t)
			}
			if all := l.refused(l.twice(addsOne+test.text), test.code); !strings.Contains(all.Error(), test.names) {
				t.Errorf("%v does not name %s", all, test.names)
			}
		})
	}
}

func TestMachineMismatch(t *testing.T) {
	l := newLab(t)
	opts := l.simple("body")
	l.diffed(opts)
	const machine = 18 // e_machine
	other := slices.Clone(opts.Pairs[0].Fixed)
	binary.LittleEndian.PutUint16(other[machine:], uint16(elf.EM_AARCH64))
	good := opts.Pairs[0].Fixed
	for name, p := range map[string]*[]byte{"fixed": &opts.Pairs[0].Fixed, "original": &opts.Pairs[0].Orig} {
		keep := *p
		*p = other
		if name == "original" {
			opts.Pairs[0].Fixed = good
		}
		if _, err := Diff(opts); err == nil {
			t.Errorf("%s: objects of two CPUs gave a patch", name)
		}
		*p = keep
	}
	opts.Pairs[0].Orig, opts.Pairs[0].Fixed = l.minimal(elf.EM_X86_64), l.minimal(elf.EM_AARCH64)
	l.refused(opts, CodeMachine)
}

// minimal is an object without sections.
func (l *lab) minimal(m elf.Machine) []byte {
	b := make([]byte, 64)
	copy(b, elf.ELFMAG+"\x02\x01\x01")
	binary.LittleEndian.PutUint16(b[16:], uint16(elf.ET_REL))
	binary.LittleEndian.PutUint16(b[18:], uint16(m))
	binary.LittleEndian.PutUint32(b[20:], 1)
	binary.LittleEndian.PutUint16(b[52:], 64)
	binary.LittleEndian.PutUint16(b[58:], 64)
	return b
}

// TestTables: every entry of a jump table of distances leads into its function,
// whatever the distance of the entry from the start of the table looks like.
func TestTables(t *testing.T) {
	var cases, functions strings.Builder
	for i := range 60 {
		fmt.Fprintf(&cases, "\tcase %d: return many%d(a);\n", i, i%20)
	}
	for i := range 20 {
		fmt.Fprintf(&functions, "int many%d(int a) { return a + %d; }\n", i, i)
	}
	declarations := strings.NewReplacer("(int a)", "(int);//").Replace(functions.String())
	text := addsOne + declarations + "int pick(int a, int b) {\n\tswitch (b) {\n" + cases.String() + "\t}\n\treturn a + ADD; }\n" +
		"int after(int a) { return a * 5; }\nint main(int c, char **v) { return pick(c, c + 1) + after(c); }\n"
	for _, flags := range [][]string{{"-O2", "-fPIE", "-fno-inline"}, {"-O2", "-fPIE", "-fno-inline", "-fno-function-sections", "-fno-data-sections"}} {
		l := newLab(t, flags...)
		_, files := l.diffed(l.twice(text, l.compile("many", functions.String())))
		f := files[0]
		pick := slices.IndexFunc(f.Symbols, func(s payload.Symbol) bool { return s.Name == "pick" && s.Section != payload.Undefined })
		entries := 0
		for _, s := range f.Sections {
			if s.Name != ".rodata" {
				continue
			}
			var table uint64
			for i, r := range s.Relocs {
				if i == 0 || r.Off != s.Relocs[i-1].Off+4 {
					table = r.Off
				}
				entries++
				to := r.Addend - int64(r.Off-table)
				if r.Symbol != pick || to <= 0 || uint64(to) >= f.Symbols[pick].Size {
					t.Fatalf("%v: an entry leads to %s%+#x", flags, f.Symbols[r.Symbol].Name, to)
				}
			}
		}
		if entries < 50 {
			t.Errorf("%v: %d entries", flags, entries)
		}
	}
}

// TestFileBlock: of two unused static functions of one name and content, that of
// the right file is patched: only the image's STT_FILE symbols tell them apart.
func TestFileBlock(t *testing.T) {
	l := newLab(t, "-O2")
	text := addsOne + "__attribute__((used)) static int hidden(int a) { return a * 7 + ADD; }\n"
	left, right := text+"int left(int a) { return a + 1; }\n", text+"int right(int a) { return a + 2; }\n"
	fixed := l.compile("left", left, "-DFIXED")
	fixedData := l.read(fixed)
	orig, other := l.compile("left", left), l.compile("right", right)
	main := l.compile("main", "int left(int), right(int); int main(int c, char **v) { return left(c) + right(c); }")
	for _, order := range [][]string{{main, orig, other}, {main, other, orig}} {
		path := l.link("program", order...)
		_, files := l.diffed(Options{ID: "test", Images: []ImageFile{l.image(path)}, Pairs: []ObjectPair{{"left.o", l.read(orig), fixedData}}})
		m, err := readImage(path, l.section(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		var want arch.Addr
		for _, b := range m.blocks {
			if b.file == "left.c" {
				want = b.named["hidden"].addr
			}
		}
		if fns := files[0].Table.Functions; len(fns) != 1 || arch.Addr(fns[0].Addr) != want || want == 0 {
			t.Errorf("patched %+v, expected %#x", fns, uint64(want))
		}
	}
}

// TestNewUseOfPreemptible: a shared library's own default-visibility definition
// that the unit did not use before may be another module's.
func TestNewUseOfPreemptible(t *testing.T) {
	l := newLab(t, "-O2", "-fPIC")
	text := `
int elsewhere(int), hidden_elsewhere(int) __attribute__((visibility("hidden")));
extern int level;
int parse(int a) {
#ifdef FIXED
	a += elsewhere(a) + level + hidden_elsewhere(a);
#endif
	return a; }`
	other := l.compile("other", `int level = 3; int elsewhere(int a) { return a + 4; }
__attribute__((visibility("hidden"))) int hidden_elsewhere(int a) { return a + 5; }`)
	_, files := l.diffed(l.twice(text, "-shared", other))
	for _, name := range []string{"elsewhere", "level"} {
		if imp := findImport(t, files[0], name); imp.Kind != format.ImportDynamic || imp.Name != name {
			t.Errorf("%s: %+v", name, imp)
		}
	}
	if imp := findImport(t, files[0], "hidden_elsewhere"); imp.Kind != format.ImportImage {
		t.Errorf("hidden_elsewhere: %+v", imp)
	}
	_, files = l.diffed(l.twice(text, "-shared", other, "-Wl,-Bsymbolic"))
	if imp := findImport(t, files[0], "elsewhere"); imp.Kind != format.ImportImage {
		t.Errorf("-Bsymbolic: %+v", imp)
	}
}

// TestLocalDynamic: where the linker made local-exec of local-dynamic code, the
// offsets in the module's block are told by the fields all the same.
func TestLocalDynamic(t *testing.T) {
	l := newLab(t, "-O2", "-fPIC", "-ftls-model=local-dynamic")
	text := addsOne + `
static __thread int first = 1, second = 2, third = 3;
__attribute__((noinline)) int step(int a) { first += a; second -= a; third ^= a; return first + second * 2 + third * 3 + ADD; }
int main(int c, char **v) { return step(c) + step(c); }`
	for _, link := range [][]string{{"-pie"}, {"-shared"}} {
		_, files := l.diffed(l.twice(text, link...))
		m, err := readImage("program", l.section(l.path("program")), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"first", "second", "third"} {
			if imp := findImport(t, files[0], name); imp.Kind != format.ImportTLS || arch.Addr(imp.Addr) != m.named[name][0].addr {
				t.Errorf("%v: %s: %+v, its symbol is at %#x", link, name, imp, uint64(m.named[name][0].addr))
			}
		}
	}
}
