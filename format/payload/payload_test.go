// SPDX-License-Identifier: GPL-2.0-or-later

package payload

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/format"
)

// sample is a small payload: one function that replaces "parse", a literal and
// a variable of its own, and three imports.
func sample() *File {
	return &File{
		Machine: elf.EM_X86_64,
		Sections: []Section{
			{
				Name: ".text.parse", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Align: 16, Size: 13,
				// endbr64; call log; xor %eax, %eax; nop; ret
				Data: []byte{0xf3, 0x0f, 0x1e, 0xfa, 0xe8, 0, 0, 0, 0, 0x31, 0xc0, 0x90, 0xc3},
				Relocs: []Reloc{
					{Off: 5, Type: uint32(elf.R_X86_64_PLT32), Symbol: 4, Addend: -4},
				},
			},
			{
				Name: ".rodata.str", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Align: 8, Size: 16,
				Data: []byte("too long\x00\x00\x00\x00\x00\x00\x00\x00"),
				Relocs: []Reloc{
					{Off: 8, Type: uint32(elf.R_X86_64_64), Symbol: 5, Addend: 1 << 40},
				},
			},
			{Name: ".bss.count", Type: elf.SHT_NOBITS, Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Align: 4, Size: 4096},
			{Name: ".comment", Type: elf.SHT_PROGBITS, Align: 1, Size: 4, Data: []byte("gcc\x00")},
		},
		Symbols: []Symbol{
			{Section: 0, Type: elf.STT_SECTION, Bind: elf.STB_LOCAL},
			{Name: ".LC0", Section: 1, Type: elf.STT_OBJECT, Bind: elf.STB_LOCAL, Size: 9},
			{Name: "count", Section: 2, Type: elf.STT_OBJECT, Bind: elf.STB_LOCAL, Size: 4},
			{Name: "parse", Section: 0, Size: 13, Type: elf.STT_FUNC, Bind: elf.STB_GLOBAL},
			{Name: "log", Section: Undefined, Type: elf.STT_FUNC, Bind: elf.STB_GLOBAL},
			{Name: "limit", Section: Undefined, Type: elf.STT_OBJECT, Bind: elf.STB_GLOBAL},
			{Name: "gone", Section: Undefined, Type: elf.STT_NOTYPE, Bind: elf.STB_WEAK},
		},
		Table: format.Table{
			Image: format.Image{Name: "demod", BuildID: "00112233445566778899aabbccddeeff00112233", Machine: "amd64"},
			Functions: []format.Function{{
				Range:  format.Range{Name: "parse", Addr: 0x1200, Size: 64},
				Digest: strings.Repeat("ab", 32), Room: 64, Symbol: "parse",
				Parts: []format.Range{{Name: "parse.cold", Addr: 0x1100, Size: 8}},
			}},
			Imports: []format.Import{
				{Symbol: "gone", Kind: format.ImportDynamic, Name: "gone", Weak: true},
				{Symbol: "limit", Kind: format.ImportImage, Addr: 0x4010},
				{Symbol: "log", Kind: format.ImportDynamic, Slot: 0x3fd8, Name: "log", Version: "GLIBC_2.2.5", Func: true},
			},
			Quiet: []format.Range{},
		},
	}
}

func encoded(t testing.TB, f *File) []byte {
	t.Helper()
	data, err := Encode(f)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRoundTrip(t *testing.T) {
	f := sample()
	data := encoded(t, f)
	got, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, f) {
		t.Errorf("decoded\n%+v\nexpected\n%+v", got, f)
	}
	if !bytes.Equal(data, encoded(t, sample())) {
		t.Error("the same file was written in two ways")
	}
}

// A relocation follows its symbol when Encode puts local symbols first.
func TestLocalsFirst(t *testing.T) {
	f := sample()
	f.Symbols[0], f.Symbols[3] = f.Symbols[3], f.Symbols[0]
	f.Sections[0].Relocs = append(f.Sections[0].Relocs,
		Reloc{Off: 9, Type: uint32(elf.R_X86_64_NONE), Symbol: 0},
		Reloc{Off: 9, Type: uint32(elf.R_X86_64_NONE), Symbol: NoSymbol})
	before := *f
	got, err := Decode(encoded(t, f))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(before, *f) {
		t.Error("Encode changed its argument")
	}
	relocs := got.Sections[0].Relocs
	for i, want := range []string{"log", "parse"} {
		if name := got.Symbols[relocs[i].Symbol].Name; name != want {
			t.Errorf("relocation %d is against %q, expected %q", i, name, want)
		}
	}
	if relocs[2].Symbol != NoSymbol {
		t.Errorf("relocation 2 is against symbol %d, expected none", relocs[2].Symbol)
	}
	for i, s := range got.Symbols {
		if local := s.Bind == elf.STB_LOCAL; local != (i < 3) {
			t.Errorf("symbol %d %q: bind %v", i, s.Name, s.Bind)
		}
	}
}

// The tools read a payload without complaint, and see what is in it.
func TestTools(t *testing.T) {
	path := filepath.Join(t.TempDir(), "payload.o")
	if err := os.WriteFile(path, encoded(t, sample()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tool string
		args []string
		want []string
	}{
		{"readelf", []string{"-aW"}, []string{"parse", "R_X86_64_PLT32", "log - 4", ".ulpatch.table", "R_X86_64_64", "limit + 10000000000"}},
		{"objdump", []string{"-dr"}, []string{"<parse>:", "endbr64", "R_X86_64_PLT32", "log-0x4"}},
	} {
		cmd := exec.Command(c.tool, append(c.args, path)...)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil || stderr.Len() > 0 {
			t.Errorf("%s: %v: %s", c.tool, err, stderr.String())
		}
		for _, want := range c.want {
			if !strings.Contains(stdout.String(), want) {
				t.Errorf("%s does not show %q:\n%s", c.tool, want, stdout.String())
			}
		}
		if low := strings.ToLower(stdout.String()); strings.Contains(low, "warning") || strings.Contains(low, "<corrupt") {
			t.Errorf("%s complains:\n%s", c.tool, stdout.String())
		}
	}
	e, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if symbols, err := e.Symbols(); err != nil || len(symbols) != len(sample().Symbols) {
		t.Errorf("debug/elf reads %d symbols, %v", len(symbols), err)
	}
}

// Each change makes a file that has to be refused.
func TestCheck(t *testing.T) {
	fn := func(f *File) *format.Function { return &f.Table.Functions[0] }
	for name, change := range map[string]func(f *File){
		"unknown machine":            func(f *File) { f.Machine = elf.EM_386 },
		"machine of another table":   func(f *File) { f.Machine = elf.EM_AARCH64 },
		"alignment 0":                func(f *File) { f.Sections[0].Align = 0 },
		"alignment 3":                func(f *File) { f.Sections[0].Align = 3 },
		"alignment huge":             func(f *File) { f.Sections[0].Align = 1 << 40 },
		"size and data":              func(f *File) { f.Sections[0].Size++ },
		"nobits with data":           func(f *File) { f.Sections[2].Data = []byte{} },
		"nobits huge":                func(f *File) { f.Sections[2].Size = MaxLoadSize + 1 },
		"nobits wraps":               func(f *File) { f.Sections[2].Size = 1<<64 - 1 },
		"nobits not loaded":          func(f *File) { f.Sections[2].Flags = 0 },
		"nobits code":                func(f *File) { f.Sections[2].Flags = elf.SHF_ALLOC | elf.SHF_EXECINSTR },
		"nobits with relocations":    func(f *File) { f.Sections[2].Relocs = []Reloc{{Symbol: 0}} },
		"total":                      func(f *File) { f.Sections[2].Size = MaxLoadSize - 4 },
		"writable code":              func(f *File) { f.Sections[0].Flags |= elf.SHF_WRITE },
		"writable and not loaded":    func(f *File) { f.Sections[3].Flags = elf.SHF_WRITE },
		"thread-local section":       func(f *File) { f.Sections[2].Flags |= elf.SHF_TLS },
		"section type":               func(f *File) { f.Sections[1].Type = elf.SHT_INIT_ARRAY },
		"reserved name":              func(f *File) { f.Sections[3].Name = ".strtab" },
		"second table":               func(f *File) { f.Sections[3].Name = format.TableSection },
		"section without name":       func(f *File) { f.Sections[3].Name = "" },
		"NUL in a section's name":    func(f *File) { f.Sections[3].Name = "a\x00b" },
		"NUL in a symbol's name":     func(f *File) { f.Symbols[1].Name = "a\x00b" },
		"relocation past the end":    func(f *File) { f.Sections[0].Relocs[0].Off = 13 },
		"relocation's symbol":        func(f *File) { f.Sections[0].Relocs[0].Symbol = 7 },
		"relocation's symbol -2":     func(f *File) { f.Sections[0].Relocs[0].Symbol = -2 },
		"relocations not in order":   func(f *File) { f.Sections[0].Relocs = append(f.Sections[0].Relocs, Reloc{Off: 4}) },
		"symbol's section":           func(f *File) { f.Symbols[1].Section = 4 },
		"symbol's section -2":        func(f *File) { f.Symbols[1].Section = -2 },
		"symbol past its section":    func(f *File) { f.Symbols[3].Value = 1 },
		"symbol's size wraps":        func(f *File) { f.Symbols[3].Value, f.Symbols[3].Size = 13, 1<<64-1 },
		"symbol's bind":              func(f *File) { f.Symbols[3].Bind = elf.STB_LOOS },
		"ifunc":                      func(f *File) { f.Symbols[3].Type = elf.STT_GNU_IFUNC },
		"defined tls":                func(f *File) { f.Symbols[3].Type = elf.STT_TLS },
		"defined twice":              func(f *File) { f.Symbols = append(f.Symbols, f.Symbols[3]) },
		"undefined twice":            func(f *File) { f.Symbols = append(f.Symbols, f.Symbols[5]) },
		"undefined local":            func(f *File) { f.Symbols[2].Section = Undefined },
		"undefined with value":       func(f *File) { f.Symbols[5].Value = 1 },
		"undefined section":          func(f *File) { f.Symbols[5].Type = elf.STT_SECTION },
		"undefined and not imported": func(f *File) { f.Table.Imports = f.Table.Imports[:2] },
		"import of what is defined":  func(f *File) { f.Symbols[5].Section = 1 },
		"import of nothing":          func(f *File) { f.Symbols = f.Symbols[:6] },
		"function not there":         func(f *File) { fn(f).Symbol = "parser" },
		"function undefined":         func(f *File) { fn(f).Symbol = "log" },
		"function is data":           func(f *File) { fn(f).Symbol = "count" },
		"function ambiguous": func(f *File) {
			f.Symbols = append([]Symbol{{Name: "parse", Section: 0, Bind: elf.STB_LOCAL, Type: elf.STT_FUNC}}, f.Symbols...)
			f.Sections[0].Relocs, f.Sections[1].Relocs = nil, nil
		},
		"function past the end": func(f *File) { f.Symbols[3].Value, f.Symbols[3].Size = 13, 0 },
	} {
		t.Run(name, func(t *testing.T) {
			f := sample()
			change(f)
			if _, err := Encode(f); err == nil {
				t.Error("accepted")
			} else {
				t.Log(err)
			}
		})
	}
}

// A file that was changed after it was written is refused; most changes are in
// the ELF structures.
func TestEveryByte(t *testing.T) {
	data := encoded(t, sample())
	for i := range data {
		for _, mask := range []byte{0x01, 0x80, 0xff} {
			bad := bytes.Clone(data)
			bad[i] ^= mask
			got, err := Decode(bad)
			if err != nil {
				if !errors.Is(err, format.ErrBody) {
					t.Fatalf("byte %#x: %v does not wrap ErrBody", i, err)
				}
				continue
			}
			if again := encoded(t, got); !bytes.Equal(again, bad) {
				t.Fatalf("byte %#x: accepted, and written back in another way", i)
			}
		}
	}
}

func TestEveryLength(t *testing.T) {
	data := encoded(t, sample())
	for n := range data {
		if _, err := Decode(data[:n]); !errors.Is(err, format.ErrBody) {
			t.Fatalf("%d of %d bytes: %v", n, len(data), err)
		}
	}
	if _, err := Decode(append(bytes.Clone(data), 0)); !errors.Is(err, format.ErrBody) {
		t.Fatalf("one byte too many: %v", err)
	}
}

// Overlapping sections must not make the reader take more memory than a
// multiple of the file.
func TestOverlap(t *testing.T) {
	f := sample()
	for range 2000 {
		f.Sections = append(f.Sections, Section{Name: ".x", Type: elf.SHT_PROGBITS, Align: 1, Size: 1, Data: []byte{0}, Relocs: []Reloc{{Symbol: 1}}})
	}
	data := encoded(t, f)
	headers := binary.LittleEndian.Uint64(data[40:])
	for i := range int(binary.LittleEndian.Uint16(data[60:])) {
		h := data[headers+uint64(i)*shdrSize:]
		switch elf.SectionType(binary.LittleEndian.Uint32(h[4:])) {
		case elf.SHT_RELA:
			binary.LittleEndian.PutUint64(h[24:], 0)
			binary.LittleEndian.PutUint64(h[32:], uint64(len(data)/relaSize*relaSize))
		}
	}
	n := testing.Benchmark(func(b *testing.B) {
		for range b.N {
			if _, err := Decode(data); !errors.Is(err, format.ErrBody) {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if n > 10*int64(len(data)) {
		t.Errorf("%d bytes were taken for a file of %d", n, len(data))
	}
}

func FuzzPayload(f *testing.F) {
	f.Add(encoded(f, sample()))
	small := sample()
	small.Sections, small.Symbols = small.Sections[:1], small.Symbols[3:4]
	small.Sections[0].Relocs = nil
	small.Table.Imports = nil
	f.Add(encoded(f, small))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Decode(data)
		if (err == nil) != (got != nil) {
			t.Fatalf("result %v with error %v", got, err)
		}
		if err != nil {
			if !errors.Is(err, format.ErrBody) {
				t.Fatalf("%v does not wrap ErrBody", err)
			}
			return
		}
		again, err := Encode(got)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("accepted, and written back in another way (%v)", err)
		}
	})
}
