// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

// What an emulated CPU makes of an instruction is held against what its effect
// says: each register that the effect does not name is as it was, each one that
// it tells has that value, and so have the flags and the memory.

const (
	memoryAt, memorySize = 0x20000000, 0x80000
	recordWords          = 34
	flagsAt, faultAt     = 32, 33
)

// realWords are the different instructions of the C library's parts that the
// cross compiler comes with.
func realWords(t *testing.T) []uint32 {
	seen := map[uint32]bool{}
	for _, name := range []string{"libc.so.6", "libm.so.6", "ld-linux-aarch64.so.1", "libgcc_s.so.1"} {
		f, err := elf.Open("/usr/aarch64-linux-gnu/lib/" + name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := f.Section(".text").Data()
		if err != nil {
			t.Fatal(err)
		}
		for ; len(text) >= wordSize; text = text[wordSize:] {
			seen[binary.LittleEndian.Uint32(text)] = true
		}
	}
	var all []uint32
	for w := range seen {
		all = append(all, w)
	}
	slices.Sort(all)
	return all
}

// executable says whether an instruction can be tried: it goes on with the next
// one, refers to no place, and does not wait or change what the test needs.
func executable(w uint32) bool {
	const wait, thread = 0xd503205f, 0xd51bd040
	insn, _ := decode(words(w), 0)
	return insn.Kind == arch.Plain && !insn.PCRel && w&^0x20 != wait && w&^0x1f != thread && w&^0x1f != 0xd53bd040
}

type trial struct {
	word uint32
	in   [recordWords]uint64
}

func newTrial(r *rand.Rand, w uint32) trial {
	t := trial{word: w}
	for i := range 31 {
		switch r.IntN(4) {
		case 0:
			t.in[i] = uint64(r.IntN(64))
		case 1:
			t.in[i] = r.Uint64() >> r.IntN(64)
		case 2:
			t.in[i] = -uint64(r.IntN(1 << 20))
		default:
			t.in[i] = r.Uint64()
		}
	}
	const middle = memoryAt + memorySize/2
	t.in[31] = middle
	if w>>25&5 == 4 { // a load or store
		index := uint64(r.IntN(32) * 8)
		switch w >> 13 & 7 {
		case 2:
			index |= r.Uint64() << 32
		case 6:
			index = r.Uint64()<<32 | uint64(uint32(index-128))
		case 7:
			index -= 128
		}
		t.in[w>>16&31] = index
		t.in[w>>5&31] = middle
		t.in[31] = middle
	}
	t.in[flagsAt] = uint64(r.IntN(16)) << 28
	return t
}

// execute runs the trials and returns the records and the memory after them.
func execute(t *testing.T, trials []trial, memory []byte) (after []trial, left []byte) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	var tests strings.Builder
	var input bytes.Buffer
	tests.WriteString(".macro TESTS\n")
	for i := range trials {
		fmt.Fprintf(&tests, "bl load\nmrs x30, tpidr_el0\n.inst %#x\nmsr tpidr_el0, x30\nbl save\n", trials[i].word)
		_ = binary.Write(&input, binary.LittleEndian, trials[i].in)
	}
	tests.WriteString(".endm\n")
	for name, data := range map[string][]byte{"tests.s": []byte(tests.String()), "input": input.Bytes(), "memory": memory} {
		if err := os.WriteFile(in(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, tool("as"), "-I", dir, "-march=armv8.5-a", "-o", in("execute.o"), "testdata/execute.s")
	run(t, tool("ld"), "-static", "-z", "noexecstack", fmt.Sprintf("--section-start=.memory=%#x", memoryAt), "-o", in("execute"), in("execute.o"))
	out, err := exec.Command("qemu-aarch64", "-cpu", "max", in("execute")).Output()
	if err != nil || len(out) != input.Len()+memorySize {
		t.Fatalf("%d bytes, %v", len(out), err)
	}
	after = slices.Clone(trials)
	read := bytes.NewReader(out)
	for i := range after {
		if err := binary.Read(read, binary.LittleEndian, &after[i].in); err != nil {
			t.Fatal(err)
		}
	}
	return after, out[input.Len():]
}

func TestExecute(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var chosen []uint32
	perOpcode := map[uint32]int{}
	real := realWords(t)
	r.Shuffle(len(real), func(i, j int) { real[i], real[j] = real[j], real[i] })
	for _, w := range real {
		if key := w >> 21; executable(w) && perOpcode[key] < 120 {
			perOpcode[key]++
			chosen = append(chosen, w)
		}
	}
	fromCode := len(chosen)
	for range 100000 { // any word: most of them are of no compiler's making
		w := r.Uint32()
		if _, ok := effect(words(w)); ok && executable(w) {
			chosen = append(chosen, w)
		}
	}
	var trials []trial
	unknown, realTrials := 0, 0
	for i, w := range chosen {
		if _, ok := effect(words(w)); !ok {
			unknown++
			continue
		}
		if i < fromCode {
			trials = append(trials, newTrial(r, w))
		}
		trials = append(trials, newTrial(r, w))
		if i < fromCode {
			realTrials = len(trials)
		}
	}
	memory := make([]byte, memorySize)
	for i := range memory {
		memory[i] = byte(r.Uint32())
	}
	after, left := execute(t, trials, memory)

	m := &model{memory: slices.Clone(memory), lost: make([]bool, memorySize)}
	faults, told, wrong := 0, 0, 0
	for i := range trials {
		if after[i].in[faultAt] != 0 {
			faults++
			if i < realTrials {
				t.Errorf("%08x could not be executed", trials[i].word)
			}
			m.loseAll(&trials[i])
			continue
		}
		n, err := m.check(&trials[i], &after[i])
		told += n
		if err != nil {
			if wrong++; wrong < 20 {
				t.Errorf("%08x: %v", trials[i].word, err)
			}
		}
	}
	for i := range left {
		if !m.lost[i] && left[i] != m.memory[i] {
			t.Errorf("memory at %#x: %#x, expected %#x", i, left[i], m.memory[i])
			break
		}
	}
	if faults*4 > len(trials) || told < 5000 || unknown*50 > fromCode {
		t.Error("too little was tried")
	}
	t.Logf("%d trials of %d instructions, %d registers told, %d could not be executed, %d not known", len(trials), len(chosen), told, faults, unknown)
}

// model computes what effects say.
type model struct {
	memory []byte
	lost   []bool // bytes of which nothing is said any more
	regs   [arch.NumRegisters]uint64
	known  [arch.NumRegisters]bool
}

func (m *model) loseAll(tr *trial) {
	steps, _ := effect(words(tr.word))
	copy(m.regs[:], tr.in[:arch.Scratch])
	for _, e := range steps {
		if e.Dst.Kind == arch.Memory {
			at := m.address(e.Dst)
			for i := max(at-64, 0); i < min(at+128, memorySize); i++ {
				m.lost[i] = true
			}
		}
	}
}

// check compares, and returns how many registers changed as it was told.
func (m *model) check(tr, after *trial) (told int, err error) {
	steps, _ := effect(words(tr.word))
	for i := range m.regs {
		m.known[i] = i < arch.Scratch
		if i < arch.Scratch {
			m.regs[i] = tr.in[i]
		}
	}
	nzcv, sure := tr.in[flagsAt], true
	for _, e := range steps {
		if e.Flags {
			sure = e.Op == arch.OpCompare
			if sure {
				nzcv, sure = m.compare(e)
			}
		}
		if e.Op == arch.OpCompare || e.Dst.Kind == arch.NoOperand || e.Op == arch.OpNone && e.Dst.Kind != arch.Memory {
			continue
		}
		v, known := m.result(e)
		if e.Dst.Kind == arch.Memory {
			m.store(e, v, known)
			continue
		}
		m.regs[e.Dst.Reg], m.known[e.Dst.Reg] = v, known
	}
	for i := range arch.Scratch {
		if !m.known[i] {
			continue
		}
		if after.in[i] != m.regs[i] {
			return told, fmt.Errorf("x%d: %#x becomes %#x, expected %#x", i, tr.in[i], after.in[i], m.regs[i])
		}
		if m.regs[i] != tr.in[i] {
			told++
		}
	}
	if sure && after.in[flagsAt] != nzcv {
		return told, fmt.Errorf("flags %#x become %#x, expected %#x", tr.in[flagsAt], after.in[flagsAt], nzcv)
	}
	return told, nil
}

// address is that of an operand, counted from the memory's start.
func (m *model) address(o arch.Operand) int {
	at := uint64(o.Imm)
	if o.Base >= 0 {
		at += m.regs[o.Base]
	}
	if o.Index >= 0 {
		at += m.regs[o.Index] * uint64(o.Scale)
	}
	return int(at - memoryAt)
}

func (m *model) store(e arch.Effect, v uint64, known bool) {
	at := m.address(e.Dst)
	for i := range e.Size {
		m.lost[at+i] = !known || i >= 8
		if known && i < 8 {
			m.memory[at+i] = byte(v >> (8 * i))
		}
	}
}

// operand is a value of so many bits, extended with zeros.
func (m *model) operand(o arch.Operand) (v uint64, known bool) {
	switch o.Kind {
	case arch.Register:
		return low(m.regs[o.Reg], o.Bits), m.known[o.Reg]
	case arch.Immediate:
		return uint64(o.Imm), true
	case arch.Memory:
		at := m.address(o)
		for i := range o.Bits / 8 {
			if m.lost[at+i] {
				return 0, false
			}
			v |= uint64(m.memory[at+i]) << (8 * i)
		}
		return v, true
	}
	return 0, false
}

func low(v uint64, bits int) uint64 { return v & (1<<uint(bits) - 1) }

func (m *model) result(e arch.Effect) (uint64, bool) {
	x, left := m.operand(e.Left)
	y, right := m.operand(e.Src)
	both := left && right
	bits := e.Bits
	if e.Dst.Kind == arch.Register {
		bits = e.Dst.Bits
	}
	switch e.Op {
	case arch.OpMove:
		return low(y, bits), right
	case arch.OpExtend:
		return low(low(y, e.Src.Bits), bits), right
	case arch.OpSign:
		unused := uint(64 - e.Src.Bits)
		return low(uint64(int64(y<<unused)>>unused), bits), right
	case arch.OpAdd:
		return low(x+y, bits), both
	case arch.OpSub:
		return low(x-y, bits), both
	case arch.OpMul:
		return low(x*y, bits), both
	case arch.OpAnd:
		return low(x&y, bits), both
	case arch.OpLeft:
		return low(x<<y, bits), both
	case arch.OpRight:
		return low(x>>y, bits), both
	}
	return 0, false
}

// compare computes N, Z, C and V of a subtraction.
func (m *model) compare(e arch.Effect) (nzcv uint64, known bool) {
	x, left := m.operand(e.Left)
	y, right := m.operand(e.Src)
	x, y = low(x, e.Bits), low(y, e.Bits)
	d := low(x-y, e.Bits)
	sign := func(v uint64) bool { return v>>(uint(e.Bits)-1) != 0 }
	for i, set := range []bool{sign(x) != sign(y) && sign(d) != sign(x), x >= y, d == 0, sign(d)} {
		if set {
			nzcv |= 1 << (28 + i)
		}
	}
	return nzcv, left && right
}
