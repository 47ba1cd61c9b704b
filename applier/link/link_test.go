// SPDX-License-Identifier: GPL-2.0-or-later

package link

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/applier/internal/victim"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/arch/amd64"
	"github.com/ulpatch/ulpatch/arch/arm64"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/payload"
)

const page = 4096

// fromObject makes a payload of all of an object that is loaded.
func fromObject(t testing.TB, path string) *payload.File {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := &payload.File{Machine: f.Machine}
	out.Table.Image = format.Image{Name: "image", BuildID: strings.Repeat("0", 40), Machine: "amd64"}
	index := map[elf.SectionIndex]int{}
	for i, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Type == elf.SHT_NOTE || s.Size == 0 {
			continue
		}
		index[elf.SectionIndex(i)] = len(out.Sections)
		p := payload.Section{
			Name: s.Name, Type: elf.SHT_PROGBITS, Align: s.Addralign, Size: s.Size,
			Flags: s.Flags & (elf.SHF_ALLOC | elf.SHF_WRITE | elf.SHF_EXECINSTR),
		}
		if s.Type == elf.SHT_NOBITS {
			p.Type = elf.SHT_NOBITS
		} else if p.Data, err = s.Data(); err != nil {
			t.Fatal(err)
		}
		out.Sections = append(out.Sections, p)
	}
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	number := make([]int, len(symbols)+1)
	number[0] = payload.NoSymbol
	for i, s := range symbols {
		number[i+1] = payload.NoSymbol
		sym := payload.Symbol{Name: s.Name, Value: s.Value, Size: s.Size, Type: elf.ST_TYPE(s.Info), Bind: elf.ST_BIND(s.Info)}
		if in, ok := index[s.Section]; ok {
			sym.Section = in
		} else if s.Section == elf.SHN_UNDEF {
			sym.Section = payload.Undefined
			imp := format.Import{Symbol: s.Name, Kind: format.ImportDynamic, Name: s.Name}
			if sym.Type == elf.STT_TLS {
				imp.Kind = format.ImportDynamicTLS
			}
			out.Table.Imports = append(out.Table.Imports, imp)
		} else {
			continue
		}
		number[i+1] = len(out.Symbols)
		out.Symbols = append(out.Symbols, sym)
	}
	slices.SortFunc(out.Table.Imports, func(a, b format.Import) int { return strings.Compare(a.Symbol, b.Symbol) })
	for _, s := range f.Sections {
		in, ok := index[elf.SectionIndex(s.Info)]
		if s.Type != elf.SHT_RELA || !ok {
			continue
		}
		data, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		for le := binary.LittleEndian; len(data) >= 24; data = data[24:] {
			info := le.Uint64(data[8:])
			out.Sections[in].Relocs = append(out.Sections[in].Relocs, payload.Reloc{
				Off: le.Uint64(data), Type: uint32(info), Symbol: number[info>>32], Addend: int64(le.Uint64(data[16:])),
			})
		}
		slices.SortStableFunc(out.Sections[in].Relocs, func(a, b payload.Reloc) int { return int(a.Off) - int(b.Off) })
	}
	return out
}

// imports gives each undefined symbol a value.
func imports(f *payload.File, value func(name string) Value) map[int]Value {
	values := map[int]Value{}
	for i, s := range f.Symbols {
		if s.Section == payload.Undefined {
			values[i] = value(s.Name)
		}
	}
	return values
}

// TestLinkerAsOracle links the same objects at the same places with the system
// linker and compares every byte, but for those that lead to slots, which the
// linker puts elsewhere: of those, what the slot holds.
func TestLinkerAsOracle(t *testing.T) {
	for _, flags := range [][]string{{"-O2", "-fPIC"}, {"-O0", "-fPIE"}, {"-Os", "-fPIC", "-fno-plt", "-fcf-protection"}, {"-O2", "-fno-pic"}, {"-O1", "-fPIC", "-mcmodel=large"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			for _, base := range []arch.Addr{0x10000000, 0x6ffff000} {
				oracle(t, flags, base)
			}
		})
	}
}

func oracle(t *testing.T, flags []string, base arch.Addr) {
	t.Helper()
	object := victim.Build(t, "oracle.c", append(flags, "-c", "-g0", "-fno-asynchronous-unwind-tables")...)
	f := fromObject(t, object)
	l, err := New(amd64.Arch, f, 100, page)
	if err != nil {
		t.Fatal(err)
	}
	const tlsOffset = -4
	addr := map[string]arch.Addr{"other": base + 0x01234567, "others": base - 0x01234570, "hook": base + 0x07fffff8, "weak_absent": 0}
	image, err := l.Link(base, imports(f, func(name string) Value {
		if name == "other_tls" {
			return Value{TP: tlsOffset, HasTP: true}
		}
		return Value{Addr: addr[name], HasAddr: true}
	}))
	if err != nil {
		t.Fatalf("%#x: %v", uint64(base), err)
	}

	dir := t.TempDir()
	var script strings.Builder
	script.WriteString("SECTIONS {\n")
	order := make([]int, len(f.Sections))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return int(l.section[a]) - int(l.section[b]) })
	for _, i := range order {
		fmt.Fprintf(&script, "  %s.ours %#x : { *(%s) }\n", f.Sections[i].Name, uint64(base)+uint64(l.section[i]), f.Sections[i].Name)
	}
	script.WriteString("  .got 0x90000000 : { *(.got) *(.got.plt) }\n  .tdata 0x90010000 : { *(.tdata) }\n}\n")
	for name, content := range map[string]string{
		"layout.ld": script.String(),
		"tls.s":     ".section .tdata,\"awT\",@progbits\n.globl other_tls\n.type other_tls,@object\nother_tls: .long 1\n.size other_tls,4\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--no-relax", "-z", "norelro", "-static", "-e", "0", "-T", filepath.Join(dir, "layout.ld"), "-o", filepath.Join(dir, "out"), object, filepath.Join(dir, "tls.o")}
	for name, at := range addr {
		if at != 0 {
			args = append(args, fmt.Sprintf("--defsym=%s=%#x", name, uint64(at)))
		}
	}
	victim.Run(t, "as", "-o", filepath.Join(dir, "tls.o"), filepath.Join(dir, "tls.s"))
	victim.Run(t, "ld", args...)
	theirs, err := elf.Open(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	slotOf := func(at arch.Addr) uint64 {
		for _, s := range theirs.Sections {
			if off := uint64(at) - s.Addr; s.Flags&elf.SHF_ALLOC != 0 && s.Type == elf.SHT_PROGBITS && off < s.Size {
				data, _ := s.Data()
				return binary.LittleEndian.Uint64(data[off:])
			}
		}
		t.Fatalf("the linker has no slot at %#x", uint64(at))
		return 0
	}
	for i, s := range f.Sections {
		section := theirs.Section(s.Name + ".ours")
		if section == nil || section.Addr != uint64(base)+uint64(l.section[i]) {
			t.Fatalf("%s: the linker has put it elsewhere: %+v", s.Name, section)
		}
		if s.Type == elf.SHT_NOBITS {
			continue
		}
		want, err := section.Data()
		if err != nil {
			t.Fatal(err)
		}
		got := bytes.Clone(image.Bytes[l.section[i]:][:s.Size])
		for _, r := range s.Relocs {
			how := amd64.Arch.Relocs[r.Type]
			where := fmt.Sprintf("%s+%#x: %s against %s", s.Name, r.Off, how.Name, l.symbolName(r.Symbol))
			o := arch.Operands{A: r.Addend, P: base + arch.Addr(l.section[i]) + arch.Addr(r.Off), GOT: base + arch.Addr(l.gotBase), TP: tlsOffset}
			if rewrite, ok := amd64.Arch.Relax(r.Type, s.Data, want, int(r.Off)); ok {
				// The linker went past the slot all the same.
				o.S = addr[f.Symbols[r.Symbol].Name]
				if code, err := rewrite.Expect(o); err != nil || !bytes.Equal(code, want[int(r.Off)+rewrite.Start:int(r.Off)+rewrite.End]) {
					t.Errorf("%s: the linker's rewrite leads elsewhere: %v", where, err)
				}
				copy(got[int(r.Off)+rewrite.Start:int(r.Off)+rewrite.End], want[int(r.Off)+rewrite.Start:])
				continue
			}
			switch how.Need {
			case arch.NeedGOT, arch.NeedGOTTP:
				_, ours, _ := how.Expr.Solve(how.Field.Get(got[r.Off:]), o)
				if how.Name == "R_X86_64_GOT64" {
					copy(got[r.Off:][:how.Size], want[r.Off:]) // another base: its slot is compared through others
					continue
				}
				_, their, _ := how.Expr.Solve(how.Field.Get(want[r.Off:]), o)
				if a, b := binary.LittleEndian.Uint64(image.Bytes[arch.Addr(ours)-base:]), slotOf(arch.Addr(their)); a != b {
					t.Errorf("%s: slot holds %#x, the linker's %#x", where, a, b)
				}
				copy(got[r.Off:][:how.Size], want[r.Off:])
			case arch.NeedGOTBase:
				copy(got[r.Off:][:how.Size], want[r.Off:]) // another base
			}
		}
		for off := range want {
			if got[off] != want[off] {
				t.Errorf("%s+%#x: %#x, the linker has %#x", s.Name, off, got[off], want[off])
				break
			}
		}
	}
}

func checkRegions(t *testing.T, l *Layout, header uint64) {
	t.Helper()
	if l.Data.Offset != 0 || l.Code.Offset != l.Data.End() || l.Vars.Offset != l.Code.End() || l.Size != l.Vars.End() {
		t.Errorf("regions %+v %+v %+v of %#x", l.Data, l.Code, l.Vars, l.Size)
	}
	used := map[string][2]uint64{"header": {0, header}}
	for _, r := range []Region{l.Data, l.Code, l.Vars} {
		if r.Offset%page != 0 || r.Size%page != 0 {
			t.Errorf("%+v is not in pages", r)
		}
	}
	for i, s := range l.file.Sections {
		if !loaded(s) {
			continue
		}
		at := uint64(l.section[i])
		used[fmt.Sprint(s.Name, i)] = [2]uint64{at, at + s.Size}
		in := l.Data
		if isCode(s) {
			in = l.Code
		} else if isVars(s) {
			in = l.Vars
		}
		if at%max(s.Align, 1) != 0 || at < in.Offset || at+s.Size > in.End() {
			t.Errorf("%s, aligned to %d, is at %#x of %+v", s.Name, s.Align, at, in)
		}
	}
	for key, at := range l.slots {
		used[fmt.Sprint("slot ", key)] = [2]uint64{at, at + slotBytes(key.need)}
		if at%8 != 0 || at+slotBytes(key.need) > l.Data.End() {
			t.Errorf("slot at %#x", at)
		}
	}
	for symbol, s := range l.stubs {
		used[fmt.Sprint("stub ", symbol)] = [2]uint64{s.code, s.code + uint64(l.arch.StubSize)}
		used[fmt.Sprint("slot of stub ", symbol)] = [2]uint64{s.slot, s.slot + 8}
		if s.code < l.Code.Offset || s.code+uint64(l.arch.StubSize) > l.Code.End() || s.slot+8 > l.Data.End() {
			t.Errorf("stub %+v", s)
		}
	}
	for a, x := range used {
		for b, y := range used {
			if a != b && x[0] < y[1] && y[0] < x[1] {
				t.Errorf("%s %x overlaps %s %x", a, x, b, y)
			}
		}
	}
}

// TestOffsetTable: code that names the table of slots (-fpic on aarch64) means the
// payload's own, whatever the image has under that name.
func TestOffsetTable(t *testing.T) {
	const adrp, ldr = 0x90000000, 0xf9400000 // adrp x0, 0; ldr x0, [x0]
	code := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, adrp), ldr)
	f := &payload.File{
		Machine: elf.EM_AARCH64,
		Sections: []payload.Section{{
			Name: ".text", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Align: 4, Size: 8, Data: code,
			Relocs: []payload.Reloc{
				{Off: 0, Type: uint32(elf.R_AARCH64_ADR_PREL_PG_HI21), Symbol: 0},
				{Off: 4, Type: uint32(elf.R_AARCH64_LD64_GOTPAGE_LO15), Symbol: 1},
			},
		}},
		Symbols: []payload.Symbol{{Name: "_GLOBAL_OFFSET_TABLE_", Section: payload.Undefined}, {Name: "v", Section: payload.Undefined}},
	}
	l, err := New(arm64.Arch, f, 100, page)
	if err != nil {
		t.Fatal(err)
	}
	const base, value = arch.Addr(0x40000000), arch.Addr(0x12345678)
	image, err := l.Link(base, map[int]Value{0: {Addr: base + 0x100000, HasAddr: true}, 1: {Addr: value, HasAddr: true}})
	if err != nil {
		t.Fatal(err)
	}
	linked := image.Bytes[l.Code.Offset:]
	first, err := arm64.Arch.Decode(linked, base+arch.Addr(l.Code.Offset))
	if err != nil {
		t.Fatal(err)
	}
	slot := first.Target + arch.Addr(binary.LittleEndian.Uint32(linked[4:])>>10&0xfff)*8
	if off := uint64(slot - base); off+8 > l.Size || arch.Addr(binary.LittleEndian.Uint64(image.Bytes[off:])) != value {
		t.Errorf("reads %#x of the payload at %#x", uint64(slot), uint64(base))
	}
}

func TestLayout(t *testing.T) {
	const ax, aw, a = elf.SHF_ALLOC | elf.SHF_EXECINSTR, elf.SHF_ALLOC | elf.SHF_WRITE, elf.SHF_ALLOC
	data := func(name string, flags elf.SectionFlag, align, size uint64) payload.Section {
		return payload.Section{Name: name, Type: elf.SHT_PROGBITS, Flags: flags, Align: align, Size: size, Data: bytes.Repeat([]byte{0xee}, int(size))}
	}
	f := &payload.File{Machine: elf.EM_X86_64, Sections: []payload.Section{
		data(".text.a", ax, 16, 33), data(".rodata", a, 32, 5), data(".data", aw, 64, 7), data(".comment", 0, 1, 9),
		data(".data.rel.ro.local", aw, 8, 16), data(".text.b", ax, 1, 4096), data(".rodata.big", a, 4096, 1),
		{Name: ".bss", Type: elf.SHT_NOBITS, Flags: aw, Align: 256, Size: 10000}, data(".eh_frame", a, 8, 24), data(".empty", a, 1, 0),
	}, Symbols: []payload.Symbol{{Name: "a", Section: 0, Value: 4, Size: 29}, {Name: "note", Section: 3}, {Name: "x", Section: payload.Undefined}}}
	for _, header := range []uint64{0, 1, page - 1, page, 3 * page} {
		l, err := New(amd64.Arch, f, header, page)
		if err != nil {
			t.Fatal(err)
		}
		checkRegions(t, l, header)
		if l.Unwind != (Region{uint64(l.section[8]), 24}) || l.Unwind.End() > l.Data.End() {
			t.Errorf("unwind %+v", l.Unwind)
		}
		if off, size, ok := l.Symbol("a"); !ok || size != 29 || off != uint64(l.section[0])+4 {
			t.Errorf("symbol at %#x, %d bytes, %v", off, size, ok)
		}
		for _, name := range []string{"note", "x", "none"} {
			if _, _, ok := l.Symbol(name); ok {
				t.Errorf("symbol %s is loaded", name)
			}
		}
		image, err := l.Link(0x10000, map[int]Value{})
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(image.Bytes, []byte{0xee}); n != 33+5+7+16+4096+1+24 || uint64(len(image.Bytes)) != l.Size {
			t.Errorf("%d bytes of contents", n)
		}
		if !bytes.Equal(image.Bytes[:header], make([]byte, header)) {
			t.Error("the header was written")
		}
	}
	for name, s := range map[string]payload.Section{
		"thread-local": data(".tdata", aw|elf.SHF_TLS, 8, 8),
		"writable":     data(".text", ax|elf.SHF_WRITE, 8, 8),
		"aligned":      data(".rodata", a, 2*page, 8),
		"larger":       {Name: ".bss", Type: elf.SHT_NOBITS, Flags: aw, Align: 1, Size: 1 << 62},
	} {
		if _, err := New(amd64.Arch, &payload.File{Machine: elf.EM_X86_64, Sections: []payload.Section{s}}, 0, page); err == nil || !strings.HasPrefix(err.Error(), s.Name+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(amd64.Arch, &payload.File{Machine: elf.EM_AARCH64}, 0, page); err == nil {
		t.Error("a payload for another CPU")
	}
}

// places makes a payload with one section of code and one relocation in it.
func places(r payload.Reloc, symbols ...payload.Symbol) *payload.File {
	return &payload.File{
		Machine: elf.EM_X86_64, Symbols: symbols,
		Sections: []payload.Section{{
			Name: ".text.f", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Align: 16, Size: 16,
			Data: bytes.Repeat([]byte{0x90}, 16), Relocs: []payload.Reloc{r},
		}},
	}
}

func TestNeeds(t *testing.T) {
	const base = arch.Addr(0x7f0000000000)
	undefined := payload.Symbol{Name: "x", Section: payload.Undefined}
	near, far := base+0x1000000, arch.Addr(0x1234)
	le := binary.LittleEndian
	for _, c := range []struct {
		name   string
		typ    elf.R_X86_64
		addend int64
		value  Value
		want   func(l *Layout, b []byte, text int) bool // b is the image, the relocation is at text+4
	}{
		{"call", elf.R_X86_64_PLT32, -4, Value{Addr: near, HasAddr: true}, func(l *Layout, b []byte, text int) bool {
			return base+arch.Addr(text)+8+arch.Addr(int32(le.Uint32(b[text+4:]))) == near
		}},
		{"call out of reach", elf.R_X86_64_PLT32, -4, Value{Addr: far, HasAddr: true}, func(l *Layout, b []byte, text int) bool {
			stub := text + 8 + int(int32(le.Uint32(b[text+4:])))
			slot := stub + 6 + int(int32(le.Uint32(b[stub+2:])))
			return b[stub] == 0xff && b[stub+1] == 0x25 && arch.Addr(le.Uint64(b[slot:])) == far
		}},
		{"call through the image's slot", elf.R_X86_64_PLT32, -4, Value{Slot: near}, func(l *Layout, b []byte, text int) bool {
			stub := text + 8 + int(int32(le.Uint32(b[text+4:])))
			return base+arch.Addr(stub)+6+arch.Addr(int32(le.Uint32(b[stub+2:]))) == near
		}},
		{"slot", elf.R_X86_64_REX_GOTPCRELX, -4, Value{Addr: far, HasAddr: true}, func(l *Layout, b []byte, text int) bool {
			return arch.Addr(le.Uint64(b[text+8+int(int32(le.Uint32(b[text+4:]))):])) == far
		}},
		{"slot of what is weak and absent", elf.R_X86_64_GOTPCREL, -4, Value{HasAddr: true}, func(l *Layout, b []byte, text int) bool {
			return le.Uint64(b[text+8+int(int32(le.Uint32(b[text+4:]))):]) == 0
		}},
		{"general dynamic", elf.R_X86_64_TLSGD, -4, Value{TLSModule: 3, DTP: 0x40, HasDTP: true}, func(l *Layout, b []byte, text int) bool {
			slot := b[text+8+int(int32(le.Uint32(b[text+4:]))):]
			return le.Uint64(slot) == 3 && le.Uint64(slot[8:]) == 0x40
		}},
		{"local dynamic", elf.R_X86_64_TLSLD, -4, Value{TLSModule: 3, DTP: 0x40, HasDTP: true}, func(l *Layout, b []byte, text int) bool {
			slot := b[text+8+int(int32(le.Uint32(b[text+4:]))):]
			return le.Uint64(slot) == 3 && le.Uint64(slot[8:]) == 0
		}},
		{"offset in a block", elf.R_X86_64_DTPOFF32, 8, Value{DTP: 0x40, HasDTP: true}, func(l *Layout, b []byte, text int) bool { return le.Uint32(b[text+4:]) == 0x48 }},
		{"initial exec", elf.R_X86_64_GOTTPOFF, -4, Value{TP: -0x40, HasTP: true}, func(l *Layout, b []byte, text int) bool {
			return int64(le.Uint64(b[text+8+int(int32(le.Uint32(b[text+4:]))):])) == -0x40
		}},
		{"local exec", elf.R_X86_64_TPOFF32, 8, Value{TP: -0x40, HasTP: true}, func(l *Layout, b []byte, text int) bool { return int32(le.Uint32(b[text+4:])) == -0x38 }},
		{"descriptor", elf.R_X86_64_GOTPC32_TLSDESC, -4, Value{TP: -0x40, HasTP: true}, func(l *Layout, b []byte, text int) bool {
			slot := b[text+8+int(int32(le.Uint32(b[text+4:]))):]
			resolver := le.Uint64(slot) - uint64(base)
			return int64(le.Uint64(slot[8:])) == -0x40 && resolver >= l.Code.Offset && bytes.HasPrefix(b[resolver:], amd64.Arch.TLSDescReturn)
		}},
		{"absolute", elf.R_X86_64_64, 2, Value{Addr: far, HasAddr: true}, func(l *Layout, b []byte, text int) bool { return arch.Addr(le.Uint64(b[text+4:])) == far+2 }},
	} {
		f := places(payload.Reloc{Off: 4, Type: uint32(c.typ), Symbol: 0, Addend: c.addend}, undefined)
		l, err := New(amd64.Arch, f, 10, page)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		checkRegions(t, l, 10)
		image, err := l.Link(base, map[int]Value{0: c.value})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		text := int(l.section[0])
		if !c.want(l, image.Bytes, text) {
			t.Errorf("%s: % x", c.name, image.Bytes[text:][:16])
		}
		if !bytes.Equal(image.Bytes[text:][:4], []byte{0x90, 0x90, 0x90, 0x90}) || image.Bytes[text+12] != 0x90 {
			t.Errorf("%s: written beside its place: % x", c.name, image.Bytes[text:][:16])
		}
		again, err := l.Link(base, map[int]Value{0: c.value})
		if err != nil || !bytes.Equal(again.Bytes, image.Bytes) {
			t.Errorf("%s: linked twice, it is not the same: %v", c.name, err)
		}
	}
}

func TestErrors(t *testing.T) {
	const base = arch.Addr(0x7f0000000000)
	undefined := payload.Symbol{Name: "x", Section: payload.Undefined}
	unloaded := payload.Symbol{Name: "x", Section: 1}
	for _, c := range []struct {
		name   string
		typ    elf.R_X86_64
		off    uint64
		addend int64
		symbol payload.Symbol
		value  *Value
		want   string
	}{
		{"unknown type", 200, 4, 0, undefined, nil, `.text.f+0x4: `},
		{"not resolved", elf.R_X86_64_PC32, 4, 0, undefined, nil, `.text.f+0x4: R_X86_64_PC32 against "x": not resolved`},
		{"slot not resolved", elf.R_X86_64_GOTPCREL, 4, 0, undefined, nil, `slot for "x": not resolved`},
		{"stub not resolved", elf.R_X86_64_PLT32, 4, 0, undefined, nil, `stub for "x": not resolved`},
		{"out of reach", elf.R_X86_64_PC32, 4, 0, undefined, &Value{Addr: 1, HasAddr: true}, `out of range`},
		{"32 bits", elf.R_X86_64_32, 4, 0, undefined, &Value{Addr: base, HasAddr: true}, `R_X86_64_32: S + A = 0x7f0000000000: out of range`},
		{"middle of a stub", elf.R_X86_64_PLT32, 4, 0, undefined, &Value{Addr: 1, HasAddr: true}, `.text.f+0x4: R_X86_64_PLT32 against "x": out of reach, and its addend does not lead to its start`},
		{"address of what only a slot knows", elf.R_X86_64_PC32, 4, 0, undefined, &Value{Slot: base}, `its address is not known`},
		{"slot of what only a slot knows", elf.R_X86_64_GOTPCREL, 4, 0, undefined, &Value{Slot: base}, `its address is not known`},
		{"call of nothing", elf.R_X86_64_PLT32, 4, -4, undefined, &Value{}, `its address is not known`},
		{"not static", elf.R_X86_64_TPOFF32, 4, 0, undefined, &Value{DTP: 1, HasDTP: true}, `not in static thread-local storage`},
		{"no module", elf.R_X86_64_TLSGD, 4, 0, undefined, &Value{TP: 1, HasTP: true}, `TLS id is not known`},
		{"not loaded", elf.R_X86_64_PC32, 4, 0, unloaded, nil, `not loaded`},
		{"past the end", elf.R_X86_64_PC32, 13, 0, undefined, &Value{Addr: base, HasAddr: true}, `place is cut short`},
		{"a variable's address of a thread-local one", elf.R_X86_64_PC32, 4, 0, undefined, &Value{TP: 1, HasTP: true}, `its address is not known`},
	} {
		f := places(payload.Reloc{Off: c.off, Type: uint32(c.typ), Symbol: 0, Addend: c.addend}, c.symbol)
		f.Sections = append(f.Sections, payload.Section{Name: ".comment", Type: elf.SHT_PROGBITS, Align: 1})
		values := map[int]Value{}
		if c.value != nil {
			values[0] = *c.value
		}
		l, err := New(amd64.Arch, f, 0, page)
		if err == nil {
			_, err = l.Link(base, values)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %s", c.name, err, c.want)
		}
	}
}

// complete gives a payload the table that makes it valid: function takes over.
func complete(f *payload.File, function string) *payload.File {
	f.Table.Image = format.Image{Name: "image", BuildID: strings.Repeat("0", 40), Machine: "amd64"}
	f.Table.Functions = []format.Function{{
		Range: format.Range{Name: "old", Addr: 0x1000, Size: 64}, Digest: strings.Repeat("0", 64), Room: 64, Symbol: function,
	}}
	return f
}

// FuzzLink links whatever payload.Decode lets through.
func FuzzLink(f *testing.F) {
	object := victim.Build(f, "oracle.c", "-c", "-O2", "-fPIC", "-g0")
	data, err := payload.Encode(complete(fromObject(f, object), "choose"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, uint64(0x10000000), uint64(0x11000000))
	for typ := range amd64.Arch.Relocs {
		p := places(payload.Reloc{Off: 4, Type: typ, Symbol: payload.NoSymbol}, payload.Symbol{Name: "f", Type: elf.STT_FUNC, Bind: elf.STB_GLOBAL, Size: 4})
		data, err := payload.Encode(complete(p, "f"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint64(0x10000000), uint64(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, base, value uint64) {
		p, err := payload.Decode(data)
		if err != nil || p.Machine != elf.EM_X86_64 {
			return
		}
		l, err := New(amd64.Arch, p, 64, page)
		if err != nil {
			return
		}
		if l.Size > 4*maxSize {
			t.Fatalf("%d bytes", l.Size)
		}
		if l.Size > 1<<22 {
			return // takes long, and shows nothing more
		}
		if len(l.slots)+len(l.stubs)+len(p.Sections) < 200 {
			checkRegions(t, l, 64)
		}
		values := imports(p, func(string) Value {
			return Value{Addr: arch.Addr(value), HasAddr: value&1 == 0, Slot: arch.Addr(value), TP: int64(value), HasTP: value&2 == 0, HasDTP: value&4 == 0}
		})
		image, err := l.Link(arch.Addr(base)&^(page-1), values)
		if (image == nil) == (err == nil) {
			t.Fatalf("%v, %v", image, err)
		}
		if err == nil && !bytes.Equal(image.Bytes[:64], make([]byte, 64)) {
			t.Error("the header was written")
		}
	})
}

func BenchmarkLink(b *testing.B) {
	f := fromObject(b, victim.Build(b, "oracle.c", "-c", "-O2", "-fPIC", "-g0"))
	for b.Loop() {
		l, err := New(amd64.Arch, f, 64, page)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.Link(0x10000000, imports(f, func(string) Value {
			return Value{Addr: 0x10800000, HasAddr: true, HasTP: true}
		})); err != nil {
			b.Fatal(err)
		}
	}
}
