// SPDX-License-Identifier: GPL-2.0-or-later

package unwind

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ulpatch/ulpatch/arch"
)

// ruleKind is how a register of the caller is found.
type ruleKind uint8

const (
	same      ruleKind = iota
	undefined          // not recoverable; of the return address: the outermost frame
	atCFA              // in memory at CFA + offset
	isCFA              // CFA + offset itself
	register           // in another register
	atExpr             // in memory at the expression's value
	isExpr             // the expression's value itself
)

type rule struct {
	kind   ruleKind
	reg    uint8 // whose rule it is
	from   uint8 // of kind register
	offset int64
	expr   []byte
}

// row tells how to find the caller's registers at one instruction.
type row struct {
	cfaReg    uint8
	cfaOffset int64
	cfaExpr   []byte // nil unless the CFA is an expression
	rules     []rule // of the registers that change
	returns   ruleKind
	signal    bool // a signal frame: the return address is exact
}

// finds tells whether the row has a rule for a register.
func (r *row) finds(reg int) bool {
	return slices.ContainsFunc(r.rules, func(r rule) bool { return int(r.reg) == reg })
}

// maxColumns is the most registers of any CPU that a stack is walked with.
const maxColumns = 64

// registers is a row that is being computed.
type registers struct {
	cfaReg    uint64
	cfaOffset int64
	cfaExpr   []byte
	rules     [maxColumns]rule
}

// machine runs call-frame instructions (DWARF 5, section 6.4.2).
type machine struct {
	fde
	now, initial registers
	remembered   []registers
	columns      uint64
}

const maxRemembered = 64

// row runs the instructions up to pc.
func (f fde) row(pc arch.Addr, columns int) (*row, error) {
	m := &machine{fde: f, columns: uint64(columns)}
	if _, err := m.run(f.cie.program, f.begin, pc); err != nil {
		return nil, err
	}
	m.initial = m.now
	if _, err := m.run(f.program, f.begin, pc); err != nil {
		return nil, err
	}
	if m.now.cfaReg >= m.columns {
		return nil, fmt.Errorf("CFA by register %d", m.now.cfaReg)
	}
	if f.returnAddress >= m.columns {
		return nil, fmt.Errorf("return address in column %d", f.returnAddress)
	}
	r := &row{
		cfaReg: uint8(m.now.cfaReg), cfaOffset: m.now.cfaOffset, cfaExpr: m.now.cfaExpr,
		returns: m.now.rules[f.returnAddress].kind, signal: f.signal,
	}
	for reg, rule := range m.now.rules[:columns] {
		if rule.kind != same && rule.kind != undefined {
			rule.reg = uint8(reg)
			r.rules = append(r.rules, rule)
		}
	}
	return r, nil
}

// Instructions without an operand in their opcode.
const (
	cfaNop = iota
	cfaSetLoc
	cfaAdvance1
	cfaAdvance2
	cfaAdvance4
	cfaOffsetExtended
	cfaRestoreExtended
	cfaUndefined
	cfaSameValue
	cfaRegister
	cfaRememberState
	cfaRestoreState
	cfaDef
	cfaDefRegister
	cfaDefOffset
	cfaDefExpression
	cfaExpression
	cfaOffsetExtendedSF
	cfaDefSF
	cfaDefOffsetSF
	cfaValOffset
	cfaValOffsetSF
	cfaValExpression
	cfaNegateRAStatePC    = 0x2c // aarch64: from here on the return address is signed, or no longer
	cfaNegateRAState      = 0x2d
	cfaGNUArgsSize        = 0x2e
	cfaGNUNegativeOffsetX = 0x2f
)

func (m *machine) run(program []byte, loc, pc arch.Addr) (arch.Addr, error) {
	r := &reader{data: program}
	for len(r.data) > 0 && loc <= pc {
		op := byte(r.uint(1))
		low := uint64(op & 0x3f)
		switch {
		case op >= 0xc0:
			m.restore(low)
		case op >= 0x80:
			m.set(low, rule{kind: atCFA, offset: int64(r.uleb()) * m.dataAlign})
		case op >= 0x40:
			loc += arch.Addr(low * m.codeAlign)
		case op == cfaSetLoc:
			r.addr = 0
			loc = r.pointer(m.encoding &^ encPCRel)
			if m.encoding&0x70 != 0 {
				r.err = errors.New("DW_CFA_set_loc that is relative")
			}
		case op >= cfaAdvance1 && op <= cfaAdvance4:
			loc += arch.Addr(r.uint(1<<(op-cfaAdvance1)) * m.codeAlign)
		default:
			if err := m.instruction(op, r); err != nil {
				return loc, err
			}
		}
		if r.err != nil {
			return loc, r.err
		}
	}
	return loc, nil
}

func (m *machine) instruction(op byte, r *reader) error {
	now := &m.now
	switch op {
	case cfaNop, cfaNegateRAState, cfaNegateRAStatePC: // stripped whether signed or not
	case cfaOffsetExtended:
		m.set(r.uleb(), rule{kind: atCFA, offset: int64(r.uleb()) * m.dataAlign})
	case cfaOffsetExtendedSF:
		m.set(r.uleb(), rule{kind: atCFA, offset: r.sleb() * m.dataAlign})
	case cfaGNUNegativeOffsetX:
		m.set(r.uleb(), rule{kind: atCFA, offset: -int64(r.uleb()) * m.dataAlign})
	case cfaValOffset:
		m.set(r.uleb(), rule{kind: isCFA, offset: int64(r.uleb()) * m.dataAlign})
	case cfaValOffsetSF:
		m.set(r.uleb(), rule{kind: isCFA, offset: r.sleb() * m.dataAlign})
	case cfaRestoreExtended:
		m.restore(r.uleb())
	case cfaUndefined:
		m.set(r.uleb(), rule{kind: undefined})
	case cfaSameValue:
		m.set(r.uleb(), rule{kind: same})
	case cfaRegister:
		reg, from := r.uleb(), r.uleb()
		if from >= m.columns {
			return fmt.Errorf("register %d in register %d", reg, from)
		}
		m.set(reg, rule{kind: register, from: uint8(from)})
	case cfaExpression:
		m.set(r.uleb(), rule{kind: atExpr, expr: r.take(r.uleb())})
	case cfaValExpression:
		m.set(r.uleb(), rule{kind: isExpr, expr: r.take(r.uleb())})
	case cfaDef:
		now.cfaReg, now.cfaOffset, now.cfaExpr = r.uleb(), int64(r.uleb()), nil
	case cfaDefSF:
		now.cfaReg, now.cfaOffset, now.cfaExpr = r.uleb(), r.sleb()*m.dataAlign, nil
	case cfaDefRegister:
		now.cfaReg = r.uleb()
	case cfaDefOffset:
		now.cfaOffset = int64(r.uleb())
	case cfaDefOffsetSF:
		now.cfaOffset = r.sleb() * m.dataAlign
	case cfaDefExpression:
		now.cfaReg, now.cfaExpr = 0, r.take(r.uleb())
	case cfaRememberState:
		if len(m.remembered) == maxRemembered {
			return errors.New("too many remembered states")
		}
		m.remembered = append(m.remembered, *now)
	case cfaRestoreState:
		last := len(m.remembered) - 1
		if last < 0 {
			return errors.New("no remembered state")
		}
		*now, m.remembered = m.remembered[last], m.remembered[:last]
	case cfaGNUArgsSize:
		r.uleb()
	default:
		return fmt.Errorf("unknown call-frame instruction %#x", op)
	}
	return nil
}

// set notes a rule. Vector registers and the like play no part.
func (m *machine) set(reg uint64, to rule) {
	if reg < m.columns {
		m.now.rules[reg] = to
	}
}

func (m *machine) restore(reg uint64) {
	if reg < m.columns {
		m.now.rules[reg] = m.initial.rules[reg]
	}
}
