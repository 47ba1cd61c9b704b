// SPDX-License-Identifier: GPL-2.0-or-later

package arch

// Effect is a step of what an instruction does: Dst becomes Left Op Src. It tells
// of the general registers and of where memory is read or written, as far as it
// takes to follow an address. Register numbers are the port's own, below Scratch;
// from there up to NumRegisters are those that hold what one step of an
// instruction hands to the next.
type Effect struct {
	Op   Op
	Bits int // of the operation: 8, 16, 32, 64; a result of 32 is extended with zeros
	Dst  Operand
	Left Operand
	Src  Operand
	// Flags tells that the flags change. Those of OpCompare tell what was compared,
	// any others nothing.
	Flags bool
	// Access tells that the memory operand is read or written, in Size bytes.
	Access bool
	Size   int
	// ImmAt is the offset in the instruction of an immediate of Src that a
	// relocation may fill; -1 where there is none. A relocation elsewhere is the
	// displacement's.
	ImmAt int
}

// Scratch is the first of the registers that no CPU has, NumRegisters bounds all.
const (
	Scratch      = 32
	NumRegisters = Scratch + 2
)

// Op is what a step makes of its operands. Where it does not say so, Left is not
// looked at.
type Op uint8

const (
	OpNone    Op = iota // no register changes; memory may
	OpMove              // Dst = Src
	OpExtend            // Dst = Src, of Src.Bits bits, extended with zeros
	OpSign              // Dst = Src, of Src.Bits bits, extended with the sign
	OpAddress           // Dst = the address of Src
	OpAdd               // Dst = Left + Src
	OpSub               // Dst = Left - Src
	OpMul               // Dst = Left * Src
	OpAnd               // Dst = Left & Src
	OpLeft              // Dst = Left << Src
	OpRight             // Dst = Left >> Src, filled with zeros
	OpSelect            // Dst = Left or Src
	OpZero              // Dst = 0
	OpCompare           // the flags are those of Left - Src
	OpUnknown           // Dst becomes something else, perhaps made of Left and Src
	OpCall              // all but callee-saved registers become something else
)

// OperandKind tells what an operand is.
type OperandKind uint8

const (
	NoOperand OperandKind = iota
	Register
	Immediate
	Memory
)

// Operand is a register, a number, or what memory has at Base + Index*Scale +
// Imm. Base and Index are -1 where there is none.
type Operand struct {
	Kind        OperandKind
	Bits        int
	Reg         int
	Imm         int64
	Base, Index int
	Scale       int64
	// Counter says that Imm counts from the end of the instruction.
	Counter bool
}

// Bound is what a conditional branch tells of the comparison before it: which of
// the two ways wants that Left, without its sign, is at most Src + Delta. Where
// Reg is a register, the branch tells it of that one: it is at most Most if it was
// at most If.
type Bound struct {
	Taken    bool
	Delta    int64
	Reg      Operand
	Most, If int64
}
