// SPDX-License-Identifier: GPL-2.0-or-later

package unwind

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/go-delve/delve/pkg/dwarf/frame"

	"github.com/ulpatch/ulpatch/applier/internal/victim"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/arch/amd64"
)

var columns = len(amd64.Arch.Regs.DWARF)

func ehFrame(t testing.TB, path string) ([]byte, arch.Addr) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := f.Section(".eh_frame")
	data, err := s.Data()
	if err != nil {
		t.Fatal(err)
	}
	return data, arch.Addr(s.Addr)
}

// libraries are large and made by others: C, C++, assembly.
func libraries(t testing.TB) []string {
	var paths []string
	for _, name := range []string{"libc.so.6", "libstdc++.so.6", "libgcc_s.so.1"} {
		paths = append(paths, strings.TrimSpace(victim.Run(t, "gcc", "-print-file-name="+name)))
	}
	return paths
}

// TestDelve compares each row of large libraries with what delve's decoder makes
// of it. It does not know DW_CFA_restore: it takes the register for undefined.
func TestDelve(t *testing.T) {
	for _, path := range libraries(t) {
		section, addr := ehFrame(t, path)
		table, err := Parse(section, addr, 0, 1<<40)
		if err != nil {
			t.Fatal(err)
		}
		end, _ := bytes.CutSuffix(section, []byte{0, 0, 0, 0})
		theirs, err := frame.Parse(end, binary.LittleEndian, 0, 8, uint64(addr))
		if err != nil {
			t.Fatal(err)
		}
		if len(theirs) != len(table.index) {
			t.Errorf("%s: %d functions, delve has %d", path, len(table.index), len(theirs))
		}
		rows := 0
		for _, f := range theirs {
			step := max(1, (f.End()-f.Begin())/8)
			for pc := f.Begin(); pc < f.End(); pc += step {
				ctx, err := f.EstablishFrame(pc)
				if err != nil {
					t.Fatal(err)
				}
				r, err := table.find(arch.Addr(pc), columns)
				if err != nil {
					t.Fatalf("%s: %#x: %v", path, pc, err)
				}
				rows++
				compare(t, pc, r, ctx)
			}
		}
		t.Logf("%s: %d functions, %d rows", path, len(theirs), rows)
	}
}

func compare(t *testing.T, pc uint64, r *row, ctx *frame.FrameContext) {
	t.Helper()
	if ctx.CFA.Rule == frame.RuleExpression {
		if !bytes.Equal(r.cfaExpr, ctx.CFA.Expression) {
			t.Errorf("%#x: CFA % x, delve % x", pc, r.cfaExpr, ctx.CFA.Expression)
		}
	} else if uint64(r.cfaReg) != ctx.CFA.Reg || r.cfaOffset != ctx.CFA.Offset || r.cfaExpr != nil {
		t.Errorf("%#x: CFA r%d%+d, delve %+v", pc, r.cfaReg, r.cfaOffset, ctx.CFA)
	}
	ours := map[uint64]rule{}
	for _, rule := range r.rules {
		ours[uint64(rule.reg)] = rule
	}
	kinds := map[frame.Rule]ruleKind{
		frame.RuleOffset: atCFA, frame.RuleValOffset: isCFA, frame.RuleRegister: register,
		frame.RuleExpression: atExpr, frame.RuleValExpression: isExpr,
	}
	for reg, theirs := range ctx.Regs {
		o, ok := ours[reg]
		delete(ours, reg)
		kind, changes := kinds[theirs.Rule]
		if reg >= uint64(columns) || !ok && !changes {
			continue
		}
		if o.kind != kind || o.offset != theirs.Offset || !bytes.Equal(o.expr, theirs.Expression) {
			t.Errorf("%#x: register %d: %+v, delve %+v", pc, reg, o, theirs)
		}
	}
	if len(ours) > 0 {
		t.Errorf("%#x: delve does not have %+v", pc, ours)
	}
}

// section makes .eh_frame out of hand-written entries.
type section struct{ data []byte }

const code = arch.Addr(0x1000)

func (s *section) entry(body ...byte) (at int) {
	for len(body)%4 != 0 {
		body = append(body, cfaNop)
	}
	at = len(s.data)
	s.data = binary.LittleEndian.AppendUint32(s.data, uint32(len(body)))
	s.data = append(s.data, body...)
	return at
}

// cie has code alignment 1, data alignment -8, return address in 16.
func (s *section) cie(augmentation string, rest ...byte) int {
	body := append([]byte{0, 0, 0, 0, 1}, augmentation...)
	return s.entry(append(append(body, 0, 1, 0x78, 16), rest...)...)
}

// fde describes size bytes at begin, with absolute addresses.
func (s *section) fde(cie int, begin arch.Addr, size uint64, rest ...byte) {
	body := binary.LittleEndian.AppendUint32(nil, uint32(len(s.data)+4-cie))
	body = binary.LittleEndian.AppendUint64(body, uint64(begin))
	body = binary.LittleEndian.AppendUint64(body, size)
	s.entry(append(body, rest...)...)
}

func (s *section) find(t *testing.T, pc arch.Addr) (*row, error) {
	t.Helper()
	table, err := Parse(s.data, 0x100, 0, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	return table.find(pc, columns)
}

// usual: CFA is r7+8, the return address is at CFA-8.
var usual = []byte{cfaDef, 7, 8, 0x80 | 16, 1}

func TestRows(t *testing.T) {
	for _, c := range []struct {
		name    string
		program []byte
		want    row
	}{
		{"restore", []byte{0x83, 2, 0xc3, 0xc0 | 16}, row{returns: atCFA, rules: []rule{{kind: atCFA, reg: 16, offset: -8}}}},
		{"restore of a return address that was undefined", []byte{cfaUndefined, 16, cfaRestoreExtended, 16}, row{returns: atCFA, rules: []rule{{kind: atCFA, reg: 16, offset: -8}}}},
		{"undefined", []byte{cfaUndefined, 16}, row{returns: undefined}},
		{"remember and restore", []byte{cfaRememberState, 0x83, 2, cfaDefOffset, 40, cfaRestoreState}, row{returns: atCFA, rules: []rule{{kind: atCFA, reg: 16, offset: -8}}}},
		{"value", []byte{cfaValOffset, 3, 2}, row{returns: atCFA, rules: []rule{{kind: isCFA, reg: 3, offset: -16}, {kind: atCFA, reg: 16, offset: -8}}}},
		{"in a register", []byte{cfaRegister, 16, 2}, row{returns: register, rules: []rule{{kind: register, reg: 16, from: 2}}}},
		{"sized arguments, vector registers", []byte{cfaGNUArgsSize, 0x90, 1, cfaOffsetExtended, 0x99, 1, 4}, row{returns: atCFA, rules: []rule{{kind: atCFA, reg: 16, offset: -8}}}},
		{"negative offset", []byte{cfaGNUNegativeOffsetX, 3, 2}, row{returns: atCFA, rules: []rule{{kind: atCFA, reg: 3, offset: 16}, {kind: atCFA, reg: 16, offset: -8}}}},
		{"past the place", []byte{0x41, 0x83, 2}, row{returns: atCFA, rules: []rule{{kind: atCFA, reg: 16, offset: -8}}}},
	} {
		var s section
		s.fde(s.cie("", usual...), code, 16, c.program...)
		r, err := s.find(t, code)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if r.returns != c.want.returns || len(r.rules) != len(c.want.rules) || r.cfaReg != 7 || r.cfaOffset != 8 {
			t.Errorf("%s: %+v", c.name, r)
			continue
		}
		for i, rule := range r.rules {
			if w := c.want.rules[i]; rule.kind != w.kind || rule.reg != w.reg || rule.from != w.from || rule.offset != w.offset {
				t.Errorf("%s: %+v, want %+v", c.name, rule, w)
			}
		}
	}
}

func TestRowsRefused(t *testing.T) {
	for name, program := range map[string][]byte{
		"unknown instruction":     {0x3a},
		"nothing remembered":      {cfaRestoreState},
		"number is cut short":     append([]byte{cfaDefOffset}, bytes.Repeat([]byte{0x80}, 7)...),
		"expression is cut short": {cfaDefExpression, 200, 1},
		"register out of range":   {cfaRegister, 16, 40},
		"CFA by no register":      {cfaDefRegister, 40},
		"remembered without end":  bytes.Repeat([]byte{cfaRememberState}, 1000),
	} {
		var s section
		s.fde(s.cie("", usual...), code, 16, program...)
		if r, err := s.find(t, code); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestAugmentations: what one CIE has leaves the others alone.
func TestAugmentations(t *testing.T) {
	var s section
	plain := s.cie("", usual...)
	bad := s.cie("eh", usual...)
	signal := s.cie("zRS", append([]byte{1, 0}, usual...)...)
	full := s.cie("zPLRB", append([]byte{11, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0xff, 0}, usual...)...)
	s.fde(plain, code, 16)
	s.fde(bad, code+16, 16)
	s.fde(signal, code+32, 16, 0)
	s.fde(full, code+48, 16, 3, 9, 9, 9)
	s.data = append(s.data, 0, 0, 0, 0, 1, 2, 3) // end mark, and what is not ours
	for i, want := range []string{"plain", "none", "signal", "plain", "none"} {
		r, err := s.find(t, code+arch.Addr(16*i)+5)
		got := "plain"
		if errors.Is(err, errNoInfo) {
			got = "none"
		} else if err != nil {
			t.Errorf("%d: %v", i, err)
		} else if r.signal {
			got = "signal"
		}
		if got != want {
			t.Errorf("function %d: %s, want %s", i, got, want)
		}
	}
	if _, err := s.find(t, code-1); !errors.Is(err, errNoInfo) {
		t.Error(err)
	}
}

func TestExpressions(t *testing.T) {
	u := New(amd64.Arch, noMemory{}, nil)
	s := &u.state
	s.regs[7] = 0x5000
	s.regs[16] = 0x4010b
	for _, c := range []struct {
		name string
		expr []byte
		want uint64
	}{
		{"PLT", []byte{0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22}, 0x5010},
		{"numbers", []byte{0x09, 0xfe, 0x0a, 5, 0, 0x22, 0x11, 0x7d, 0x1e, 0x1f}, 9},
		{"stack", []byte{0x31, 0x32, 0x33, 0x17, 0x16, 0x14, 0x15, 1, 0x12, 0x13, 0x1c, 0x22}, 2},
		{"branch", []byte{0x31, 0x28, 1, 0, 0x96, 0x35, 0x2f, 1, 0, 0x3f}, 5},
		{"comparisons", []byte{0x31, 0x32, 0x2d, 0x31, 0x31, 0x29, 0x22, 0x32, 0x31, 0x2b, 0x22}, 3},
		{"shifts", []byte{0x31, 0x08, 200, 0x24, 0x08, 0x80, 0x31, 0x25, 0x22, 0x09, 0x80, 0x31, 0x26, 0x22}, 0},
		{"plus_uconst", []byte{0x31, 0x23, 0x80, 1}, 129},
	} {
		if v, err := s.eval(c.expr, nil); err != nil || v != c.want {
			t.Errorf("%s: %#x, %v; want %#x", c.name, v, err, c.want)
		}
	}
	for name, expr := range map[string][]byte{
		"nothing":        {},
		"underflow":      {0x22},
		"overflow":       bytes.Repeat([]byte{0x31}, 100),
		"no end":         {0x2f, 0xfd, 0xff},
		"out of it":      {0x2f, 0x7f, 0},
		"before it":      {0x2f, 0, 0x80},
		"division":       {0x31, 0x30, 0x1b},
		"unknown":        {0xe0},
		"cut short":      {0x0e, 1},
		"no register":    {0x8f, 0},
		"no memory":      {0x31, 0x06},
		"too many bytes": {0x31, 0x94, 9},
	} {
		if v, err := s.eval(expr, nil); err == nil {
			t.Errorf("%s: %#x", name, v)
		}
	}
}

type noMemory struct{}

func (noMemory) Read(arch.Addr, []byte) error { return io.EOF }

// stackMemory is a stack of words.
type stackMemory struct {
	at    arch.Addr
	words []uint64
}

func (m stackMemory) Read(addr arch.Addr, p []byte) error {
	data := make([]byte, 8*len(m.words))
	for i, w := range m.words {
		binary.LittleEndian.PutUint64(data[8*i:], w)
	}
	off := uint64(addr - m.at)
	if off >= uint64(len(data)) {
		return io.EOF
	}
	copy(p, data[off:])
	return nil
}

// TestEdgesOfFunctions: a return address behind a function's last call belongs
// to that function; where a signal interrupted a function at its start, to that.
func TestEdgesOfFunctions(t *testing.T) {
	var s section
	plain, signal := s.cie("", usual...), s.cie("zRS", append([]byte{1, 0}, usual...)...)
	s.fde(plain, code, 16)                          // ends with a call
	s.fde(plain, code+16, 16, cfaDefOffset, 24)     // 16 bytes of variables
	s.fde(signal, code+32, 16, 0, cfaDefOffset, 16) // returns from a handler
	s.fde(plain, code+48, 16, cfaDefOffset, 8)      // the handler
	s.fde(plain, code+64, 16, cfaUndefined, 16)     // where a thread begins
	table, err := Parse(s.data, 0x100, 0, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	const sp = arch.Addr(0x7000)
	mem := stackMemory{sp, []uint64{
		uint64(code + 36),    // the handler's return address
		0, uint64(code + 16), // the signal frame: interrupted at the second function's start
		0, 0, uint64(code + 16), // the second function's frame: called at the end of the first
		uint64(code + 70),
		0, 0,
	}}
	regs := make([]byte, amd64.Arch.Regs.Size)
	binary.LittleEndian.PutUint64(regs[amd64.Arch.Regs.PC:], uint64(code+50))
	binary.LittleEndian.PutUint64(regs[amd64.Arch.Regs.SP:], uint64(sp))
	var frames []Frame
	rest, err := New(amd64.Arch, mem, []*Table{table}).Walk(regs, func(f Frame) bool { frames = append(frames, f); return true })
	want := []Frame{
		{code + 50, true, sp + 8}, {code + 36, false, sp + 24}, {code + 16, true, sp + 48}, {code + 16, false, sp + 56}, {code + 70, false, sp + 64},
	}
	if err != nil || rest != 0 || !slices.Equal(frames, want) {
		t.Errorf("%+v, rest %#x, %v\nwant %+v", frames, uint64(rest), err, want)
	}
}

func TestParseRefused(t *testing.T) {
	for name, data := range map[string][]byte{
		"cut short":       {20, 0, 0, 0, 0, 0, 0, 0},
		"64-bit size":     {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"too short an id": {2, 0, 0, 0, 0, 0, 0, 0},
	} {
		if _, err := Parse(data, 0x100, 0, 1<<40); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
	for _, data := range [][]byte{nil, {0, 0, 0, 0}, {0, 0, 0, 0, 1, 2, 3, 4, 5}} {
		if _, err := Parse(data, 0x100, 0, 1<<40); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	var s section
	s.fde(s.cie("", usual...), code, 16, 0x83, 2, 0xc3, cfaDefExpression, 2, 0x77, 8)
	s.fde(s.cie("zPLRS", append([]byte{11, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0xff, 0x1b}, usual...)...), code, 16, 0)
	f.Add(s.data)
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := Parse(data, 0x100, 0, 1<<40)
		if err != nil {
			return
		}
		u := New(amd64.Arch, noMemory{}, []*Table{table})
		for _, e := range table.index[:min(len(table.index), 8)] {
			r, err := table.find(e.begin, columns)
			if err != nil {
				continue
			}
			cfa, err := u.state.cfa(r)
			if err == nil {
				_, _ = u.state.step(r, cfa, false) // it must not panic, no more
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	section, addr := ehFrame(b, libraries(b)[1])
	for b.Loop() {
		if _, err := Parse(section, addr, 0, 1<<40); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRow(b *testing.B) {
	section, addr := ehFrame(b, libraries(b)[0])
	table, err := Parse(section, addr, 0, 1<<40)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := table.find(table.index[i%len(table.index)].begin+3, columns); err != nil && !errors.Is(err, errNoInfo) {
			b.Fatal(err)
		}
		i += 7
	}
}
