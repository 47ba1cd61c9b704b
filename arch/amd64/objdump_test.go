// SPDX-License-Identifier: GPL-2.0-or-later

package amd64

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"

	"github.com/ulpatch/ulpatch/arch"
)

// line is an instruction as objdump tells it.
type line struct {
	addr arch.Addr
	code []byte
	text string
	// forgot says that objdump has forgotten a 66 prefix that came before a REX
	// prefix that came too early.
	forgot bool
}

var (
	prefixOnly = regexp.MustCompile(`^((rex(\.[WRXB]+)?|data16|addr32|cs|ds|es|fs|gs|ss|lock|repz|repnz|bnd|notrack) ?)+$`)
	comment    = regexp.MustCompile(`# (?:0x)?([0-9a-f]+)`)
	branchTo   = regexp.MustCompile(`^(?:[A-Za-z0-9.,]+ +)*?(?:call|jmp|j[a-z]+|loop[a-z]*|xbegin)[a-z]*(?:,p[nt])? +(?:0x)?([0-9a-f]+)(?: |$)`)
	starred    = regexp.MustCompile(`(call|jmp)w? +\*`)
	mnemonics  = regexp.MustCompile(`^(?:(?:rex(?:\.[WRXB]+)?|data16|addr32|cs|ds|es|fs|gs|ss|lock|repz|repnz|rep|bnd|notrack|xacquire|xrelease) +)*([a-z0-9]+)`)
)

// disassemble joins lines that are prefixes alone with the next: objdump takes a
// REX prefix before another prefix for an instruction, the CPU ignores it.
func disassemble(t testing.TB, file string, each func(line)) {
	t.Helper()
	cmd := exec.Command("objdump", "-d", "-w", file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pending line
	scan := bufio.NewScanner(out)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		at, rest, ok := strings.Cut(scan.Text(), ":\t")
		if !ok {
			continue
		}
		raw, text, _ := strings.Cut(rest, "\t")
		addr, err := strconv.ParseUint(strings.TrimSpace(at), 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		code, err := hex.DecodeString(strings.ReplaceAll(raw, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		l := line{addr: arch.Addr(addr), code: code, text: strings.TrimSpace(text)}
		if len(pending.code) > 0 && pending.addr+arch.Addr(len(pending.code)) == l.addr {
			l = line{
				addr:   pending.addr,
				code:   append(pending.code, l.code...),
				text:   pending.text + " " + l.text,
				forgot: pending.forgot || slices.Contains(pending.code, 0x66),
			}
		}
		pending = line{}
		if prefixOnly.MatchString(l.text) {
			pending = l
			continue
		}
		each(l)
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

// kindOf reads a kind out of objdump's words.
func kindOf(text string) arch.Kind {
	m := mnemonics.FindStringSubmatch(text)
	if m == nil {
		return arch.Plain
	}
	indirect := starred.MatchString(text)
	switch op := strings.TrimSuffix(m[1], "w"); {
	case op == "call" && indirect, op == "lcall":
		return arch.IndirectCall
	case op == "jmp" && indirect, op == "ljmp":
		return arch.IndirectJump
	case op == "call":
		return arch.Call
	case op == "jmp":
		return arch.Jump
	case strings.HasPrefix(op, "j"), strings.HasPrefix(op, "loop"), op == "xbegin":
		return arch.CondJump
	case strings.HasPrefix(op, "ret"), strings.HasPrefix(op, "lret"), strings.HasPrefix(op, "iret"),
		strings.HasPrefix(op, "sysret"), strings.HasPrefix(op, "sysexit"), op == "uiret", op == "rsm":
		return arch.Return
	case op == "ud2", op == "ud1", op == "ud0", op == "hlt", op == "int3":
		return arch.Stop
	}
	return arch.Plain
}

func targetOf(text string) (arch.Addr, bool) {
	m := branchTo.FindStringSubmatch(text)
	if m == nil {
		m = comment.FindStringSubmatch(text)
	}
	if m == nil {
		return 0, false
	}
	v, err := strconv.ParseUint(m[1], 16, 64)
	return arch.Addr(v), err == nil
}

// compare decodes every instruction of a file and returns how many there were,
// how many objdump does not know, and how many x86asm knew.
func compare(t *testing.T, file string) (total, bad, second int) {
	wrong := 0
	fail := func(l line, format string, args ...any) {
		t.Helper()
		if wrong++; wrong < 20 {
			t.Errorf("%s %#x: % x %s: "+format, append([]any{filepath.Base(file), uint64(l.addr), l.code, l.text}, args...)...)
		}
	}
	disassemble(t, file, func(l line) {
		total++
		if strings.Contains(l.text, "(bad)") || strings.Contains(l.text, ".byte") {
			bad++
			return
		}
		if n := fwait(l.code); n > 0 {
			l = line{addr: l.addr + arch.Addr(n), code: l.code[n:], text: l.text}
		}
		insn, err := decode(l.code, l.addr)
		if err != nil && refusedOnPurpose(l.code) {
			bad++
			return
		}
		if err != nil {
			fail(l, "%v", err)
			return
		}
		if insn.Len != len(l.code) {
			fail(l, "length %d", insn.Len)
			return
		}
		if want := kindOf(l.text); insn.Kind != want {
			fail(l, "%v, want %v", insn.Kind, want)
		}
		target, ok := targetOf(l.text)
		eip := strings.Contains(l.text, "(%eip)")
		if eip { // zero-extended by the CPU, and not known to x86asm
			target &= 0xffffffff
		}
		if ok != insn.PCRel || ok && target != insn.Target {
			fail(l, "PC-relative %v %#x, want %v %#x", insn.PCRel, uint64(insn.Target), ok, uint64(target))
		}
		if want := isNop(l); insn.Nop != want {
			fail(l, "nop %v", insn.Nop)
		}
		if x, ok := x86asmDecode(l.code); ok {
			second++
			if x.Len != insn.Len || !eip && x.PCRel != insn.FieldLen || x.PCRel != 0 && x.PCRelOff != insn.FieldOff {
				fail(l, "x86asm: %v, length %d, PC-relative %d bytes at %d, not %d at %d",
					x, x.Len, x.PCRel, x.PCRelOff, insn.FieldLen, insn.FieldOff)
			}
		}
	})
	if wrong > 0 {
		t.Errorf("%s: %d of %d instructions differ", file, wrong, total)
	}
	return total, bad, second
}

var nops = regexp.MustCompile(`^((data16|cs|ds|es|fs|gs|ss|addr32|rex(\.[WRX]+)?|repnz) +)*(nop[wlq]?( .*)?|xchg +%ax,%ax)$`)

// isNop leaves out the hints that do nothing on this CPU and may on the next.
func isNop(l line) bool {
	if !nops.MatchString(l.text) {
		return false
	}
	i := bytes.IndexByte(l.code, 0x0f)
	return i < 0 || l.code[i+1] == 0x1f && l.code[i+2]>>3&7 == 0
}

// fwait is the length of an fwait that objdump took for a part of the
// instruction behind it, or 0.
func fwait(code []byte) int {
	for i, b := range code {
		if kind := oneByte[b]; kind != opPrefix && kind != opREX {
			if b == 0x9b && i+1 < len(code) {
				return i + 1
			}
			break
		}
	}
	return 0
}

// x86asmDecode leaves out what x86asm v0.32 takes for something else: VEX and
// EVEX, and what it gives up on after a prefix.
func x86asmDecode(code []byte) (x86asm.Inst, bool) {
	opcode := 0
	for opcode < len(code) && oneByte[code[opcode]] == opPrefix {
		opcode++
	}
	if opcode < len(code) {
		switch oneByte[code[opcode]] {
		case opVEX2, opVEX3, opEVEX:
			return x86asm.Inst{}, false
		}
	}
	x, err := x86asm.Decode(code, 64)
	return x, err == nil && x.Op != 0
}

// TestDecodeOpcodes goes through the opcode maps: each opcode with each prefix
// that may change its operands and with each form of ModRM. Each stands at a
// symbol of its own, where objdump starts afresh.
func TestDecodeOpcodes(t *testing.T) {
	var tries [][]byte
	forms := [][]byte{
		{0x00}, {0x05}, {0x44, 0x24}, {0x04, 0x25}, {0x84, 0x88}, {0x43}, {0x83}, {0x04, 0x05}, {0x44, 0x05}, // memory
		{0xc0}, {0xc1}, {0xca}, {0xd3}, {0xdc}, {0xe5}, {0xee}, {0xf7}, {0xf8}, {0xff}, // registers, each group
		{0x08}, {0x10}, {0x18}, {0x20}, {0x28}, {0x30}, {0x38}, {0x0d}, {0x15}, {0x3d}, // memory, each group
	}
	maps := [][]byte{
		{}, {0x66}, {0xf2}, {0xf3}, {0x67}, {0x48}, {0x41}, {0x66, 0x48}, {0x2e}, {0xf0}, {0x48, 0x66},
		{0x0f}, {0x66, 0x0f}, {0xf2, 0x0f}, {0xf3, 0x0f}, {0x48, 0x0f}, {0x66, 0x48, 0x0f}, {0x67, 0x0f},
		{0x0f, 0x38}, {0x66, 0x0f, 0x38}, {0xf2, 0x0f, 0x38}, {0xf3, 0x0f, 0x38}, {0x66, 0x48, 0x0f, 0x38}, {0xf2, 0x48, 0x0f, 0x38},
		{0x0f, 0x3a}, {0x66, 0x0f, 0x3a}, {0xf3, 0x0f, 0x3a}, {0x66, 0x48, 0x0f, 0x3a},
		{0xc5, 0xf8}, {0xc5, 0xf9}, {0xc5, 0xfb}, {0x64, 0xc5, 0xfd}, {0xc4, 0xe1, 0xf9},
		{0xc4, 0xe2, 0x71}, {0xc4, 0xe2, 0xf5}, {0xc4, 0x42, 0x7b}, {0xc4, 0xe3, 0x79}, {0xc4, 0xe3, 0xfd},
		{0x62, 0xf1, 0x7c, 0x48}, {0x62, 0xf1, 0xfd, 0x48}, {0x62, 0xf2, 0x7d, 0x48}, {0x62, 0xf2, 0xf5, 0x28}, {0x62, 0xf2, 0x7e, 0x48},
		{0x62, 0xf3, 0x7d, 0x48}, {0x62, 0xf3, 0xf5, 0x28}, {0x62, 0xf5, 0x7c, 0x48}, {0x62, 0xf6, 0x6e, 0x08},
		{0x8f, 0xe8, 0x78}, {0x8f, 0xe9, 0x78}, {0x8f, 0xea, 0x78},
	}
	for _, m := range maps {
		for op := range 256 {
			for _, form := range forms {
				try := slices.Concat(m, []byte{byte(op)}, form)
				for len(try) < 16 { // immediates and displacements, none of which is an opcode of a prefix
					try = append(try, 0x11)
				}
				tries = append(tries, try)
			}
		}
	}
	var src strings.Builder
	for i, try := range tries {
		fmt.Fprintf(&src, "t%d: .byte %s\n", i, hexBytes(try))
	}
	object := assemble(t, "opcodes", src.String())

	first := make(map[int]line)
	disassemble(t, object, func(l line) {
		if i := int(l.addr) / 16; int(l.addr)%16 == 0 {
			first[i] = l
		}
	})
	known, refused, wider, stricter := 0, 0, 0, 0
	for i, try := range tries {
		l, ok := first[i]
		if !ok {
			t.Fatalf("% x: objdump shows nothing", try)
		}
		insn, err := decode(try, l.addr)
		bad := strings.Contains(l.text, "(bad)")
		switch {
		case bad && err != nil:
			refused++
		case bad:
			wider++
		case err != nil && refusedOnPurpose(try), l.forgot, insn.Len == fwait(l.code):
			stricter++
		case err != nil:
			t.Errorf("% x: %s: %v", l.code, l.text, err)
		case insn.Len != len(l.code):
			t.Errorf("% x: %s: length %d", l.code, l.text, insn.Len)
		default:
			known++
		}
	}
	t.Logf("%d instructions of equal length, %d refused by both, %d known to us alone, %d to objdump alone", known, refused, wider, stricter)
}

// refusedOnPurpose: a direct branch with a 66 prefix, on which CPUs differ, and
// a VEX, EVEX or XOP prefix after one that makes it undefined.
func refusedOnPurpose(code []byte) bool {
	operand16, wide, spoiled := false, false, false
	for i, b := range code {
		switch oneByte[b] {
		case opPrefix:
			wide = false
			operand16 = operand16 || b == 0x66
			spoiled = spoiled || b == 0x66 || b == 0xf0 || b == 0xf2 || b == 0xf3
			continue
		case opREX:
			wide = b&8 != 0
			spoiled = true
			continue
		case opVEX2, opVEX3, opEVEX, opPopXOP:
			return spoiled
		case opJb, opJz:
			return operand16 && !wide
		case opGroup11Ev:
			return operand16 && !wide && code[i+1] == 0xf8
		case opEscape:
			return operand16 && !wide && twoByte[code[i+1]] == opJz
		}
		return false
	}
	return false
}

func TestDecodeFixture(t *testing.T) {
	object := filepath.Join(t.TempDir(), "insns.o")
	run(t, "as", "--64", "-o", object, filepath.Join("testdata", "insns.s"))
	total, bad, second := compare(t, object)
	if bad > 0 || total < 280 {
		t.Errorf("%d instructions, %d of them bad", total, bad)
	}
	t.Logf("%d instructions, %d known to x86asm", total, second)
}

// TestDecodeLibraries takes what the machine has of the largest libraries, with
// assembler of all sorts in them; there has to be a C library.
func TestDecodeLibraries(t *testing.T) {
	const dir = "/usr/lib/x86_64-linux-gnu/"
	found := 0
	for _, pattern := range []string{"libc.so.6", "libm.so.6", "libcrypto.so.*", "libstdc++.so.*[0-9]", "libgcc_s.so.1"} {
		files, err := filepath.Glob(dir + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if target, err := os.Readlink(file); err == nil && strings.HasPrefix(target, "lib") {
				continue // the file itself is in the list too
			}
			total, bad, second := compare(t, file)
			t.Logf("%s: %d instructions equal, %d known to x86asm; %d are none", file, total-bad, second, bad)
			found++
		}
	}
	if found == 0 {
		t.Errorf("no library in %s", dir)
	}
}

// FuzzDecode: any bytes give an instruction within them or an error, and what is
// cut short gives no other instruction than the whole.
func FuzzDecode(f *testing.F) {
	for _, seed := range [][]byte{
		{0xf3, 0x0f, 0x1e, 0xfa}, {0xe8, 1, 2, 3, 4}, {0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0},
		{0x62, 0xf3, 0x7d, 0x48, 0x25, 0x05, 1, 2, 3, 4, 5}, {0xc4, 0xe2, 0x79, 0x18, 0x05, 1, 2, 3, 4}, {0xd5, 0x48, 0x8b, 0x05, 1, 2, 3, 4},
		{0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, {0xc7, 0xf8, 1, 2, 3, 4}, {0x8f, 0xea, 0x78, 0x10, 0x05, 1, 2, 3, 4, 5, 6, 7, 8},
	} {
		f.Add(seed, uint64(0x401000))
	}
	f.Fuzz(func(t *testing.T, code []byte, pc uint64) {
		insn, err := decode(code, arch.Addr(pc))
		if err != nil {
			if insn != (arch.Insn{}) || !errors.Is(err, arch.ErrInsn) && !errors.Is(err, arch.ErrShort) {
				t.Fatalf("% x: %+v, %v", code, insn, err)
			}
			return
		}
		if insn.Len < 1 || insn.Len > maxInsnLen || insn.Len > len(code) || insn.FieldOff+insn.FieldLen > insn.Len || insn.PCRel != (insn.FieldLen > 0) {
			t.Fatalf("% x: %+v", code, insn)
		}
		if whole, err := decode(code[:insn.Len], arch.Addr(pc)); err != nil || whole != insn {
			t.Fatalf("% x: %+v, and alone %+v, %v", code, insn, whole, err)
		}
		for n := range insn.Len {
			if cut, err := decode(code[:n], arch.Addr(pc)); !errors.Is(err, arch.ErrShort) {
				t.Fatalf("% x: cut to %d: %+v, %v", code, n, cut, err)
			}
		}
		if _, err := pcAdjust(code, 0, insn.FieldOff); err != nil {
			t.Fatalf("% x: %v", code, err)
		}
	})
}
