// SPDX-License-Identifier: GPL-2.0-or-later

package unwind

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ulpatch/ulpatch/arch"
)

const (
	maxOperands = 64
	maxSteps    = 4096
)

var errStack = errors.New("expression: stack over- or underflow")

// evaluation is a DWARF expression that is being evaluated (DWARF 5, section
// 2.5). What has no place in call-frame information is refused.
type evaluation struct {
	s     *state
	stack [maxOperands]uint64
	n     int
	err   error
}

func (e *evaluation) push(v uint64) {
	if e.n == len(e.stack) {
		e.err = errStack
		return
	}
	e.stack[e.n] = v
	e.n++
}

func (e *evaluation) pop() uint64 {
	if e.n == 0 {
		e.err = errStack
		return 0
	}
	e.n--
	return e.stack[e.n]
}

// at is the operand i below the top.
func (e *evaluation) at(i uint64) uint64 {
	if i >= uint64(e.n) {
		e.err = errStack
		return 0
	}
	return e.stack[uint64(e.n)-1-i]
}

func (e *evaluation) reg(n uint64) uint64 {
	if n >= uint64(len(e.s.u.arch.Regs.DWARF)) {
		e.err = fmt.Errorf("expression: register %d", n)
		return 0
	}
	return e.s.regs[n]
}

func (e *evaluation) deref(size uint64) uint64 {
	var buf [8]byte
	if size > 8 {
		e.err = fmt.Errorf("expression: %d bytes", size)
		return 0
	}
	if err := e.s.u.mem.Read(arch.Addr(e.pop()), buf[:size]); err != nil && e.err == nil {
		e.err = err
	}
	return binary.LittleEndian.Uint64(buf[:])
}

// eval evaluates an expression, with the CFA on its stack where one is given.
func (s *state) eval(expr []byte, cfa *arch.Addr) (uint64, error) {
	e := evaluation{s: s}
	if cfa != nil {
		e.push(uint64(*cfa))
	}
	r := &reader{data: expr}
	for step := 0; len(r.data) > 0; step++ {
		if step == maxSteps {
			return 0, errors.New("expression does not end")
		}
		op := byte(r.uint(1))
		switch {
		case op >= 0x30 && op <= 0x4f: // lit0 ...
			e.push(uint64(op - 0x30))
		case op >= 0x70 && op <= 0x8f: // breg0 ...
			e.push(e.reg(uint64(op-0x70)) + uint64(r.sleb()))
		case op >= 0x1a && op <= 0x2e && op != 0x1f && op != 0x20 && op != 0x23 && op != 0x28:
			b, a := e.pop(), e.pop()
			e.push(e.binary(op, a, b))
		case op == 0x28 || op == 0x2f: // bra, skip
			by := r.int(2)
			if op == 0x28 && e.pop() == 0 {
				continue
			}
			to := int64(len(expr)-len(r.data)) + by
			if to < 0 || to > int64(len(expr)) {
				return 0, errors.New("expression: branch out of it")
			}
			r.data = expr[to:]
		default:
			e.operation(op, r)
		}
		if r.err != nil {
			return 0, r.err
		}
		if e.err != nil {
			return 0, e.err
		}
	}
	v := e.pop()
	return v, e.err
}

func (e *evaluation) binary(op byte, a, b uint64) uint64 {
	truth := func(t bool) uint64 {
		if t {
			return 1
		}
		return 0
	}
	x, y := int64(a), int64(b)
	switch op {
	case 0x1a:
		return a & b
	case 0x1b, 0x1d:
		if b == 0 {
			e.err = errors.New("expression: division by zero")
			return 0
		}
		if op == 0x1b {
			return uint64(x / y)
		}
		return a % b
	case 0x1c:
		return a - b
	case 0x1e:
		return a * b
	case 0x21:
		return a | b
	case 0x22:
		return a + b
	case 0x24:
		return a << min(b, 64)
	case 0x25:
		return a >> min(b, 64)
	case 0x26:
		return uint64(x >> min(b, 63))
	case 0x27:
		return a ^ b
	case 0x29:
		return truth(a == b)
	case 0x2a:
		return truth(x >= y)
	case 0x2b:
		return truth(x > y)
	case 0x2c:
		return truth(x <= y)
	case 0x2d:
		return truth(x < y)
	}
	return truth(a != b) // 0x2e
}

func (e *evaluation) operation(op byte, r *reader) {
	switch op {
	case 0x03: // addr
		e.push(r.uint(8))
	case 0x06: // deref
		e.push(e.deref(8))
	case 0x94: // deref_size
		e.push(e.deref(r.uint(1)))
	case 0x08, 0x0a, 0x0c, 0x0e: // const1u ... const8u
		e.push(r.uint(1 << ((op - 0x08) / 2)))
	case 0x09, 0x0b, 0x0d, 0x0f: // const1s ... const8s
		e.push(uint64(r.int(1 << ((op - 0x09) / 2))))
	case 0x10: // constu
		e.push(r.uleb())
	case 0x11: // consts
		e.push(uint64(r.sleb()))
	case 0x12: // dup
		e.push(e.at(0))
	case 0x13: // drop
		e.pop()
	case 0x14: // over
		e.push(e.at(1))
	case 0x15: // pick
		e.push(e.at(r.uint(1)))
	case 0x16: // swap
		a, b := e.pop(), e.pop()
		e.push(a)
		e.push(b)
	case 0x17: // rot
		a, b, c := e.pop(), e.pop(), e.pop()
		e.push(a)
		e.push(c)
		e.push(b)
	case 0x19: // abs
		v := int64(e.pop())
		e.push(uint64(max(v, -v)))
	case 0x1f: // neg
		e.push(-e.pop())
	case 0x20: // not
		e.push(^e.pop())
	case 0x23: // plus_uconst
		e.push(e.pop() + r.uleb())
	case 0x92: // bregx
		n := r.uleb()
		e.push(e.reg(n) + uint64(r.sleb()))
	case 0x96: // nop
	default:
		e.err = fmt.Errorf("expression: operation %#x", op)
	}
}
