// SPDX-License-Identifier: GPL-2.0-or-later

package arm64

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/ulpatch/ulpatch/arch"
)

// fpSet is an NT_PRFPREG set in which every register is another.
func fpSet() []byte {
	fp := make([]byte, sizeFPState)
	for i := range fp {
		fp[i] = byte(i/16 + i%16*3)
	}
	return fp
}

// sveSet is an NT_ARM_SVE set of vq times 128 bits with its registers in use.
func sveSet(vq int) []byte {
	le := binary.LittleEndian
	regs := vq * (32*16 + 17*2)
	fp := make([]byte, sizeSVEHeader+(regs+15)&^15+16)
	le.PutUint32(fp, uint32(len(fp)))
	le.PutUint16(fp[offVL:], uint16(vq*16))
	le.PutUint16(fp[offFlags:], flagSVE)
	for i := range regs {
		fp[sizeSVEHeader+i] = byte(i*7 + i>>8)
	}
	le.PutUint32(fp[len(fp)-16:], 0x08000001)
	le.PutUint32(fp[len(fp)-12:], 0x00400000)
	return fp
}

// plainSVESet is an NT_ARM_SVE set of a thread that uses no more than FPSIMD.
func plainSVESet() []byte {
	fp := make([]byte, sizeSVEHeader, sizeSVEHeader+sizeFPState)
	binary.LittleEndian.PutUint32(fp, sizeSVEHeader+sizeFPState)
	binary.LittleEndian.PutUint16(fp[offVL:], 32)
	return append(fp, fpSet()...)
}

// parse goes through a frame as the kernel does (parse_user_sigframe), and
// returns the records by their magic.
func parse(frame []byte, at arch.Addr) (map[uint32][]byte, error) {
	le := binary.LittleEndian
	records := map[uint32][]byte{}
	base, limit := frame[frameReserved:], reservedSize
	extra := false
	for offset := 0; ; {
		if limit-offset < sizeHead || offset%16 != 0 {
			return nil, errors.New("no record")
		}
		magic, size := le.Uint32(base[offset:]), int(le.Uint32(base[offset+4:]))
		if limit-offset < size || magic != 0 && size < sizeHead {
			return nil, fmt.Errorf("record %#x has %d bytes", magic, size)
		}
		switch {
		case magic == 0 && size != 0, records[magic] != nil:
			return nil, fmt.Errorf("record %#x", magic)
		case magic == 0:
			return records, nil
		}
		record := base[offset:][:size]
		records[magic] = record
		if magic != magicExtra {
			offset += size
			continue
		}
		end := offset + size
		if extra || size < sizeExtra || limit-end < sizeTerminator || le.Uint64(base[end:]) != 0 {
			return nil, errors.New("extra record")
		}
		extra = true
		datap, n := le.Uint64(record[8:]), int(le.Uint32(record[16:]))
		behind := frameReserved + offset + size + sizeTerminator
		if datap%16 != 0 || n%16 != 0 || datap != uint64(at)+uint64(behind) || n > 64<<10 || behind+n > len(frame) {
			return nil, fmt.Errorf("extra record: %d bytes at %#x", n, datap)
		}
		base, limit, offset = frame[behind:], n, 0
	}
}

func TestSigFrame(t *testing.T) {
	set := make([]byte, regsSize)
	for i := range set {
		set[i] = byte(i*5 + 1)
	}
	for _, c := range []struct {
		name string
		fp   []byte
		vq   int // 0: no SVE record
		far  bool
	}{
		{"FPSIMD", fpSet(), 0, false},
		{"SVE, not in use", plainSVESet(), 0, false},
		{"SVE, 128 bits", sveSet(1), 1, false},
		{"SVE, 256 bits", sveSet(2), 2, false},
		{"SVE, 384 bits", sveSet(3), 3, false},
		{"SVE, 768 bits", sveSet(6), 6, false},
		{"SVE, 896 bits", sveSet(7), 7, true},
		{"SVE, 2048 bits", sveSet(16), 16, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Arch.SigFrame.Volatile(c.fp); got != (c.vq > 0) {
				t.Errorf("volatile: %v", got)
			}
			for _, top := range []arch.Addr{0x7fff00001000, 0x7fff00000fff, 0x7fff00000fc1, 0x7fff00000f80} {
				frame, at, err := Arch.SigFrame.Build(top, set, c.fp, 0x1234, 0x401000)
				if err != nil {
					t.Fatal(err)
				}
				if end := at + arch.Addr(len(frame)); end > top || top-end > 16 || at%16 != 0 || len(frame) < frameSize {
					t.Errorf("%#x to %#x, top is %#x", uint64(at), uint64(end), uint64(top))
				}
				if !bytes.Equal(frame[frameRegs:frameReserved-8], set) {
					t.Errorf("registers % x", frame[frameRegs:frameReserved-8])
				}
				for dwarf, off := range Arch.SigFrame.Saved {
					if !bytes.Equal(frame[off:][:8], set[regs.DWARF[dwarf]:][:8]) {
						t.Errorf("register %d is not at %d", dwarf, off)
					}
				}
				if mask := binary.LittleEndian.Uint64(frame[frameSigmask:]); mask != 0x1234 {
					t.Errorf("mask %#x", mask)
				}
				if rest := frame[frameContext:frameSigmask]; !bytes.Equal(rest, make([]byte, len(rest))) {
					t.Errorf("flags, link and stack % x", rest)
				}
				records, err := parse(frame, at)
				if err != nil {
					t.Fatal(err)
				}
				if (records[magicExtra] != nil) != c.far {
					t.Errorf("an extra record: %v", !c.far)
				}
				checkVectors(t, records, c.fp, c.vq)
			}
		})
	}
}

// checkVectors compares the records of a frame with the set that it was made of.
func checkVectors(t *testing.T, records map[uint32][]byte, fp []byte, vq int) {
	t.Helper()
	le := binary.LittleEndian
	simd := records[magicFPSIMD]
	if len(simd) != sizeFPSIMD {
		t.Fatalf("a record of %d bytes", len(simd))
	}
	status := fp[len(fp)-16:] // fpsr and fpcr are the last in each layout
	if !bytes.Equal(simd[8:16], status[:8]) {
		t.Errorf("fpsr and fpcr % x, want % x", simd[8:16], status[:8])
	}
	wide := records[magicSVE]
	if vq == 0 {
		if wide != nil {
			t.Errorf("an SVE record of %d bytes", len(wide))
		}
		if v := fp[len(fp)-sizeFPState:][:offFPSR]; !bytes.Equal(simd[16:], v) {
			t.Errorf("% x, want % x", simd[16:], v)
		}
		return
	}
	size := vq * (32*16 + 17*2)
	if len(wide) != (16+size+15)&^15 || int(le.Uint16(wide[8:])) != vq*16 || le.Uint16(wide[10:]) != 0 {
		t.Fatalf("an SVE record of %d bytes, % x", len(wide), wide[:16])
	}
	if !bytes.Equal(wide[16:][:size], fp[sizeSVEHeader:][:size]) {
		t.Error("other SVE registers")
	}
	for n := range 32 { // the kernel takes the lower bits from here
		if v, z := simd[16+16*n:][:16], fp[sizeSVEHeader+16*vq*n:][:16]; !bytes.Equal(v, z) {
			t.Errorf("v%d is % x and z%d % x", n, v, n, z)
		}
	}
}

func TestSigFrameRefuses(t *testing.T) {
	set := make([]byte, regsSize)
	streaming := make([]byte, sizeSVEHeader)
	binary.LittleEndian.PutUint32(streaming, sizeSVEHeader)
	odd := sveSet(2)
	odd[offVL] = 33
	none := sveSet(1)
	none[offVL] = 0
	for _, c := range []struct {
		name    string
		set, fp []byte
		unfit   bool
	}{
		{"streaming mode", set, streaming, true},
		{"no registers", set[:regsSize-1], fpSet(), false},
		{"no vectors", set, nil, false},
		{"FPSIMD cut short", set, fpSet()[:sizeFPState-1], false},
		{"SVE, not in use, cut short", set, plainSVESet()[:sizeSVEHeader+sizeFPState-1], false},
		{"SVE cut short", set, sveSet(2)[:len(sveSet(2))-16], false},
		{"SVE of 264 bits", set, odd, false},
		{"SVE of no bits", set, none, false},
	} {
		frame, _, err := Arch.SigFrame.Build(1<<40, c.set, c.fp, 0, 0)
		if err == nil || frame != nil || errors.Is(err, arch.ErrUnfit) != c.unfit {
			t.Errorf("%s: %d bytes, %v", c.name, len(frame), err)
		}
	}
}

func TestEnter(t *testing.T) {
	set := bytes.Repeat([]byte{0xff}, regsSize)
	want := bytes.Clone(set)
	le := binary.LittleEndian
	le.PutUint64(want[30*8:], 0x401000)
	le.PutUint64(want[33*8:], ^uint64(0xc00))
	if Arch.SigFrame.Enter(set, 0x401000); !bytes.Equal(set, want) {
		t.Errorf("% x", set)
	}
}

func FuzzSigFrame(f *testing.F) {
	f.Add(fpSet(), uint64(1)<<40)
	f.Add(sveSet(16), uint64(1)<<40+5)
	f.Add(plainSVESet(), uint64(0x10001))
	f.Fuzz(func(t *testing.T, fp []byte, top uint64) {
		frame, at, err := buildSigFrame(arch.Addr(top), make([]byte, regsSize), fp, 0, 0)
		if err != nil {
			return
		}
		if _, err := parse(frame, at); err != nil && len(fp) <= sigFrame.FPSize {
			t.Fatalf("%d bytes: %v", len(fp), err)
		}
	})
}
