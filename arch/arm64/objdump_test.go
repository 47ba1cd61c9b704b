// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/arch/arm64/arm64asm"

	"github.com/ulpatch/ulpatch/arch"
)

// line is an instruction as objdump tells it.
type line struct {
	addr arch.Addr
	word uint32
	text string
}

func (l line) bad() bool { return strings.HasPrefix(l.text, ".") }

func disassemble(t testing.TB, file string, each func(line)) {
	t.Helper()
	cmd := exec.Command(tool("objdump"), "-d", "-z", file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scan := bufio.NewScanner(out)
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
		word, err := strconv.ParseUint(strings.TrimSpace(raw), 16, 32)
		if err != nil {
			t.Fatalf("%q: %v", scan.Text(), err)
		}
		each(line{arch.Addr(addr), uint32(word), strings.TrimSpace(text)})
	}
	if err := errors.Join(scan.Err(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
}

// kindOf reads a kind out of objdump's words.
func kindOf(text string) arch.Kind {
	op, _, _ := strings.Cut(text, "\t")
	op, _, _ = strings.Cut(op, " ")
	switch {
	case op == "b":
		return arch.Jump
	case op == "bl":
		return arch.Call
	case strings.HasPrefix(op, "b."), strings.HasPrefix(op, "bc."), op == "cbz", op == "cbnz", op == "tbz", op == "tbnz":
		return arch.CondJump
	case slices.Contains([]string{"br", "braa", "brab", "braaz", "brabz"}, op):
		return arch.IndirectJump
	case slices.Contains([]string{"blr", "blraa", "blrab", "blraaz", "blrabz"}, op):
		return arch.IndirectCall
	case slices.Contains([]string{"ret", "retaa", "retab", "eret", "eretaa", "eretab"}, op):
		return arch.Return
	case op == "udf", op == "brk", op == "hlt":
		return arch.Stop
	}
	return arch.Plain
}

var pcRelative = regexp.MustCompile(`^(?:(?:b|bl|b\.\w+|bc\.\w+)|(?:cbn?z|adrp?|ldr|ldrsw|prfm)\s+[^,\s]+,|tbn?z\s+\w+, #\d+,)\s+(?:0x)?([0-9a-f]+)(?: |$)`)

func targetOf(text string) (arch.Addr, bool) {
	m := pcRelative.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	v, err := strconv.ParseUint(m[1], 16, 64)
	return arch.Addr(v), err == nil
}

// later are words of extensions that binutils 2.40 and arm64asm do not know.
func later(word uint32) bool {
	return word&0x7e000000 == 0x74000000 || // cb<cc>
		word&0xffc0001f == 0x5500001f || // retaasppc
		word&0xfffffbe0 == 0xd65f0be0 && word&0x1f != 0x1f // retaasppcr
}

// check holds one instruction to objdump and, where it knows it, to arm64asm.
func check(l line) (second bool, err error) {
	code := words(l.word)
	insn, err := decode(code, l.addr)
	if err != nil || insn.Len != wordSize {
		return false, fmt.Errorf("%+v, %w", insn, err)
	}
	if l.bad() {
		if !later(l.word) && (insn.Kind != arch.Plain && l.word != 0 || insn.PCRel) {
			return false, fmt.Errorf("%+v", insn)
		}
		return false, nil
	}
	if want := kindOf(l.text); insn.Kind != want {
		return false, fmt.Errorf("%v, want %v", insn.Kind, want)
	}
	target, ok := targetOf(l.text)
	if ok != insn.PCRel || ok && (target != insn.Target || insn.FieldOff != 0 || insn.FieldLen != wordSize) {
		return false, fmt.Errorf("PC-relative %v %#x, want %v %#x", insn.PCRel, uint64(insn.Target), ok, uint64(target))
	}
	if want := l.text == "nop"; insn.Nop != want {
		return false, fmt.Errorf("nop %v", insn.Nop)
	}
	x, err := arm64asm.Decode(code)
	if err != nil {
		return false, nil
	}
	for _, arg := range x.Args {
		rel, ok := arg.(arm64asm.PCRel)
		if !ok {
			continue
		}
		from := l.addr
		if x.Op == arm64asm.ADRP {
			from &^= 0xfff
		}
		if !insn.PCRel || insn.Target != from+arch.Addr(rel) {
			return true, fmt.Errorf("%#x, arm64asm: %v", uint64(insn.Target), x)
		}
	}
	return true, nil
}

// compare decodes every instruction of a file and returns how many there were,
// how many objdump does not know, and how many arm64asm knew.
func compare(t *testing.T, file string) (total, bad, second int) {
	wrong := 0
	disassemble(t, file, func(l line) {
		total++
		if l.bad() {
			bad++
		}
		known, err := check(l)
		if known {
			second++
		}
		if err == nil {
			return
		}
		if wrong++; wrong < 20 {
			t.Errorf("%s %#x: %08x %s: %v", filepath.Base(file), uint64(l.addr), l.word, l.text, err)
		}
	})
	if wrong > 0 {
		t.Errorf("%s: %d of %d instructions differ", file, wrong, total)
	}
	return total, bad, second
}

// TestDecodeOpcodes goes through the upper 12 bits of all instructions, which
// hold the opcodes, with several others each, and through the branches to
// registers and the system's instructions one by one.
func TestDecodeOpcodes(t *testing.T) {
	var tries []uint32
	for high := range uint32(1 << 12) {
		for _, low := range []uint32{0x00000, 0xfffff, 0x0001f, 0xf03e0, 0xf0bff, 0xf081f, 0x5a5a5, 0xa5a5a} {
			tries = append(tries, high<<20|low)
		}
	}
	for low := range uint32(1 << 16) { // opc, op2, op3 and op4
		tries = append(tries, 0xd6000000|low>>12<<21|0x1f<<16|low>>8&0xf<<10|low<<2&0x3e0|low&7<<2|low&1)
	}
	for hint := range uint32(1 << 7) {
		tries = append(tries, 0xd503201f|hint<<5)
	}
	var src strings.Builder
	for _, word := range tries {
		fmt.Fprintf(&src, ".inst %#x\n", word)
	}
	object := assemble(t, "opcodes", src.String())
	total, bad, second := compare(t, object)
	if total != len(tries) || second < 10000 {
		t.Errorf("%d of %d words, %d known to arm64asm", total, len(tries), second)
	}
	t.Logf("%d words equal, of which %d are no instruction and %d known to arm64asm", total, bad, second)
}

func TestDecodeFixture(t *testing.T) {
	object := filepath.Join(t.TempDir(), "insns.o")
	run(t, tool("as"), "-march=armv9-a+sve2+memtag+pauth", "-o", object, filepath.Join("testdata", "insns.s"))
	total, bad, second := compare(t, object)
	if bad > 1 || total < 500 {
		t.Errorf("%d instructions, %d of them bad", total, bad)
	}
	t.Logf("%d instructions, %d known to arm64asm", total, second)
}

// TestDecodeLibraries takes what comes with the cross compiler.
func TestDecodeLibraries(t *testing.T) {
	const dir = "/usr/aarch64-linux-gnu/lib/"
	for _, name := range []string{"libc.so.6", "libm.so.6", "ld-linux-aarch64.so.1", "libgcc_s.so.1"} {
		total, bad, second := compare(t, dir+name)
		t.Logf("%s: %d instructions equal, %d known to arm64asm; %d are none", name, total-bad, second, bad)
		if total < 1000 || second < total*9/10 {
			t.Errorf("%s: %d instructions, %d known to arm64asm", name, total, second)
		}
	}
}

// FuzzDecode: four bytes are an instruction, fewer are none.
func FuzzDecode(f *testing.F) {
	for _, word := range []uint32{nop, b, brX16, 0x54000001, 0x90000010, 0x5c000001, 0} {
		f.Add(words(word), uint64(0x401000))
	}
	f.Fuzz(func(t *testing.T, code []byte, pc uint64) {
		insn, err := decode(code, arch.Addr(pc))
		if len(code) < wordSize {
			if insn != (arch.Insn{}) || !errors.Is(err, arch.ErrShort) {
				t.Fatalf("% x: %+v, %v", code, insn, err)
			}
			return
		}
		if err != nil || insn.Len != wordSize || insn.FieldOff+insn.FieldLen > insn.Len || insn.PCRel != (insn.FieldLen > 0) {
			t.Fatalf("% x: %+v, %v", code, insn, err)
		}
		typ, ok := fieldReloc(code)
		if !ok {
			return
		}
		// The type's row stores what the instruction refers to.
		want := binary.LittleEndian.Uint32(code)
		place := words(want)
		if err := Arch.Relocs[typ].Apply(place, arch.Operands{S: insn.Target, P: arch.Addr(pc)}); err != nil || wordAt(place, 0) != want {
			t.Fatalf("% x: %s gives % x, %v", code, relocName(typ), place, err)
		}
	})
}
