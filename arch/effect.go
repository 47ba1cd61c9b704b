// SPDX-License-Identifier: GPL-2.0-or-later

package arch

// Effect is what one instruction does to the general registers and where it
// reads or writes memory, as far as it takes to follow an address. Register
// numbers are the port's own, below NumRegisters.
type Effect struct {
	Op   Op
	Bits int // of the operation: 8, 16, 32, 64; a result of 32 is extended with zeros
	Dst  Operand
	Src  Operand
	// Access tells that the memory operand is read or written, in Size bytes.
	Access bool
	Size   int
	// ImmAt is the offset in the instruction of an immediate of 4 or 8 bytes that
	// a relocation may fill; -1 where there is none. A relocation elsewhere is the
	// displacement's.
	ImmAt int
}

// NumRegisters bounds register numbers in effects.
const NumRegisters = 32

// Op is what an instruction makes of its operands.
type Op uint8

const (
	OpNone    Op = iota // no register changes; memory may
	OpMove              // Dst = Src
	OpExtend            // Dst = Src, of Src.Bits bits, extended with zeros
	OpSign              // Dst = Src, of Src.Bits bits, extended with the sign
	OpAddress           // Dst = the address of Src
	OpAdd               // Dst += Src
	OpSub               // Dst -= Src
	OpAnd               // Dst &= Src
	OpLeft              // Dst <<= Src
	OpRight             // Dst >>= Src, filled with zeros
	OpZero              // Dst = 0
	OpCompare           // the flags are those of Dst - Src
	OpUnknown           // Dst becomes something else
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
// the two ways wants that Dst, without its sign, is at most Src + Delta.
type Bound struct {
	Taken bool
	Delta int64
}
