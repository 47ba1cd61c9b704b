// SPDX-License-Identifier: GPL-2.0-or-later

package arch

import (
	"debug/elf"
	"errors"
)

var (
	// ErrInsn: the bytes are no instruction that the port knows.
	ErrInsn = errors.New("unknown instruction")
	// ErrShort: the code ends in the middle of an instruction.
	ErrShort = errors.New("instruction is cut short")
)

// Addr is an address in a target: a process, or the link-time layout of an
// image. It is never an address of our own process.
type Addr uint64

// Arch is a port: all that the builder and the applier know of one CPU.
type Arch struct {
	Name    string      // as GOARCH names it
	Machine elf.Machine // e_machine

	// Relocs is every relocation that this port applies, by ELF type number;
	// any other type is refused.
	Relocs map[uint32]Howto
	// RelocName names a type for messages, also one that is not in Relocs.
	RelocName func(typ uint32) string

	// LandingPad is the instruction that an indirect branch may have to land
	// on (endbr64, bti c). A jump is written after it where a function begins
	// with one.
	LandingPad []byte
	// Entry tells how a jump is put at the start of a function, given its code.
	Entry func(code []byte) Entry
	// Lands tells whether an indirect branch may go to code in memory that is
	// guarded (IBT, PROT_BTI): a far jump and a stub do that.
	Lands func(code []byte) bool
	// Reach is the largest distance in bytes, in either direction, between an
	// image and a payload that refers to it.
	Reach uint64

	// Decode tells length, kind and PC-relative operand of the instruction at
	// the start of code, whose address is pc.
	Decode func(code []byte, pc Addr) (Insn, error)

	// BranchReloc tells whether the field at code[off:], to which a relocation
	// of type typ belongs, is the target of a direct call or jump. Otherwise it
	// is an address that is computed or stored. code is code and not data.
	BranchReloc func(typ uint32, code []byte, off int) bool
	// FieldReloc is the relocation type that an assembler gives the PC-relative
	// field of the instruction at the start of code, where it refers to another
	// section. ok is false where there is no such type or no such field.
	FieldReloc func(code []byte) (typ uint32, ok bool)
	// AccessReloc tells whether the field at code[relocOff:], to which a relocation
	// of type typ belongs, is all of the address at which the instruction at
	// code[insnOff:] reads or writes. What it refers to is then within a variable.
	// An address that is only computed may be the end of one, or a base to which
	// an index is added, and so may lie outside. It may be nil.
	AccessReloc func(typ uint32, code []byte, insnOff, relocOff int) bool
	// PCAdjust tells how many bytes lie between the start of the field that is
	// relocated at code[relocOff:] and the address that its instruction, at
	// code[insnOff:], counts from: S + A + PCAdjust is what a PC-relative
	// relocation refers to. It is 0 for a field that is not PC-relative.
	PCAdjust func(code []byte, insnOff, relocOff int) (int64, error)
	// Effect tells what the instruction at the start of code does to registers, in
	// steps that are done in this order. ok is false where that is not known, so
	// that nothing is known behind it. It may be nil.
	Effect func(code []byte) (steps []Effect, ok bool)
	// Bound tells what a conditional branch at the start of code says of the
	// comparison before it; ok is false where that is no upper limit. It is nil
	// where Effect is.
	Bound func(code []byte) (b Bound, ok bool)
	// Constant tells the constant that an instruction, which code is, sets a
	// register or memory to, and the bits that hold it. It may be nil.
	Constant func(code []byte) (v int64, mask []byte, ok bool)
	// Displaced tells apart what an instruction does and the constant that it adds
	// to a register for an address in memory. ok is false where it adds none.
	Displaced func(code []byte) (d Displaced, ok bool)
	// Sets tells whether an instruction may change a register, by its number in
	// Displaced. It is true where that is not known.
	Sets func(code []byte, reg int) bool
	// CalleeSaved says whether a register of an Effect survives a call, Argument and
	// Result whether it may have one. StackBases are the registers that may point to
	// the function's own stack frame.
	CalleeSaved func(reg int) bool
	Argument    func(reg int) bool
	Result      func(reg int) bool
	StackBases  []int
	// MovesStack tells whether the instruction at the start of code may set the
	// stack pointer to anything but what it was, plus a constant or aligned:
	// whether it may switch stacks, or leave a frame by its pointer. A system call
	// may. It is true where that is not known, and may be nil.
	MovesStack func(code []byte) bool
	// Relax recognises what a linker made of the instructions round a relocation
	// of type typ at off, given the object's bytes and the image's at the same
	// place. ok is false where there is no known rewrite: then the field has to
	// hold what Relocs says. Type 0 is for an instruction without a relocation.
	Relax func(typ uint32, orig, linked []byte, off int) (r Rewrite, ok bool)
	// Trampoline recognises code, at address at, that only goes on elsewhere, as
	// linkers make it: an entry of the PLT, or a thunk where a call does not
	// reach.
	Trampoline func(code []byte, at Addr) (t Trampoline, ok bool)

	// EndsInCall tells whether a call instruction ends where code ends, so that
	// the address behind it may be a return address.
	EndsInCall func(code []byte) bool

	// JumpSize is the number of bytes of Jump.
	JumpSize int
	// Jump encodes an unconditional jump that stands at from and goes to to.
	// The error wraps ErrRange where to is out of reach.
	Jump func(from, to Addr) ([]byte, error)
	// FarJump encodes a jump to anywhere, in FarJumpSize bytes. It is indirect:
	// in guarded memory it has to go where Lands. It is nil where the port has
	// none. FarReach is what Reach is for a payload whose every jump is a far
	// one, or near enough for Jump.
	FarJump     func(to Addr) []byte
	FarJumpSize int
	FarReach    uint64
	// StubSize is the number of bytes of Stub, a multiple of its alignment.
	StubSize int
	// Stub encodes a jump, standing at at, to the address that the 8-byte slot
	// holds when the stub runs. It changes no register that carries an
	// argument. The error wraps ErrRange where the slot is out of reach.
	Stub func(at, slot Addr) ([]byte, error)
	// CallAddend is the addend of a relocation that calls or jumps to its symbol
	// itself. With any other a stub cannot stand in for the symbol.
	CallAddend int64
	// TLSDescReturn is code for a TLS descriptor's resolver that returns the
	// descriptor's argument: static TLS needs no more.
	TLSDescReturn []byte

	// TPOffset is the offset from the thread pointer of byte off in the TLS
	// block of the main executable whose PT_TLS has the given p_memsz, p_align
	// and p_vaddr.
	TPOffset func(off, memsz, align, vaddr uint64) int64

	Dynamic  Dynamic
	Regs     Regs
	Syscall  Syscall
	SigFrame SigFrame
	// Mangling is nil where nothing is known of it.
	Mangling *Mangling
}

// Entry is how a jump is put at the start of a function: Skip bytes stay, Pad
// and the jump are written behind them. A thread that stands at the start, or
// behind what is skipped, has not begun with the function, and the jump may be
// written under it.
type Entry struct {
	Skip int    // bytes of the function's own landing pad
	Pad  []byte // a landing pad that takes the place of one that does more
}

// Size is the number of bytes, from the start of the function, that a jump of
// jump bytes takes up.
func (e Entry) Size(jump int) int { return e.Skip + len(e.Pad) + jump }

// Trampoline is code that only goes on elsewhere.
type Trampoline struct {
	Len  int  // bytes up to and with the jump
	To   Addr // where it goes, or the 8-byte slot that holds where
	Slot bool
}

// Dynamic is the port's dynamic relocation types, as images carry them. They
// are read and never emitted.
type Dynamic struct {
	Relative, GlobDat, JumpSlot, Copy, Abs64, IRelative uint32
	DTPMod, DTPOff, TPOff, TLSDesc                      uint32
}

// Kind tells what an instruction does to the flow of control.
type Kind uint8

const (
	Plain        Kind = iota // goes on with the next instruction
	Jump                     // unconditional, direct
	CondJump                 // conditional, direct (loops and jrcxz too)
	Call                     // direct
	IndirectJump             // through a register or memory
	IndirectCall             // through a register or memory
	Return                   // ret, iret
	Stop                     // never goes on: ud2, hlt, int3
)

func (k Kind) String() string {
	return [...]string{"plain", "jump", "conditional jump", "call", "indirect jump", "indirect call", "return", "stop"}[k]
}

// Displaced is an instruction with an operand in memory at Base + Disp, perhaps
// plus an index. Shape is the instruction without Disp, the same for all of
// them, however many bytes they take.
type Displaced struct {
	Base  int // a register's number, as the instruction encodes it
	Disp  int64
	Shape []byte
}

// Insn is what is known of one decoded instruction.
type Insn struct {
	Len  int // bytes
	Kind Kind

	// PCRel says that the instruction has a PC-relative operand, of a branch
	// or of a memory reference, whose field lies FieldOff bytes into the
	// instruction and is FieldLen bytes long.
	PCRel              bool
	FieldOff, FieldLen int
	// Target is the address that the PC-relative operand refers to.
	Target Addr
	// Nop says that the instruction only fills space.
	Nop bool
}
