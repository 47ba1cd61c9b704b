// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ulpatch/ulpatch/applier/link"
	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/hint"
	"github.com/ulpatch/ulpatch/format/payload"
)

// resolver finds what a payload's imports are in a process. It reads memory and
// changes nothing.
type resolver struct {
	arch    *arch.Arch
	mem     module.Memory
	modules []*module.Module
	image   *module.Module
	scope   []*module.Module
}

func newResolver(a *arch.Arch, mem module.Memory, modules []*module.Module, image *module.Module) *resolver {
	return &resolver{a, mem, modules, image, module.Scope(modules, image)}
}

// imports resolves all undefined symbols of a payload, by symbol index.
func (r *resolver) imports(f *payload.File) (map[int]link.Value, error) {
	table := map[string]format.Import{}
	for _, imp := range f.Table.Imports {
		table[imp.Symbol] = imp
	}
	values := map[int]link.Value{}
	for i, s := range f.Symbols {
		if s.Section != payload.Undefined {
			continue
		}
		imp, ok := table[s.Name]
		if !ok {
			return nil, fmt.Errorf("symbol %q is undefined and not imported", s.Name)
		}
		v, err := r.resolve(imp)
		if err != nil {
			return nil, fmt.Errorf("import %q: %w", s.Name, err)
		}
		values[i] = v
	}
	return values, nil
}

func (r *resolver) resolve(imp format.Import) (link.Value, error) {
	switch imp.Kind {
	case format.ImportImage:
		return link.Value{Addr: r.image.Addr(uint64(imp.Addr)), HasAddr: true}, nil
	case format.ImportDynamic:
		return r.dynamic(imp)
	case format.ImportTLS:
		return r.tls(r.image, uint64(imp.Addr))
	case format.ImportDynamicTLS:
		sym, ok, err := r.lookup(imp)
		if err != nil {
			return link.Value{}, err
		}
		if !ok {
			return link.Value{}, r.notFound(imp)
		}
		return r.tls(sym.Module, sym.Value)
	}
	return link.Value{}, fmt.Errorf("of kind %q, which this version does not know", imp.Kind)
}

func (r *resolver) notFound(imp format.Import) error {
	name := imp.Name
	if imp.Version != "" {
		name += "@" + imp.Version
	}
	return hint.With(refused("no module in the scope of %s defines %s", r.image.Name(), name),
		"the process runs another version of a library than the one that the patch was built for")
}

func (r *resolver) lookup(imp format.Import) (module.Symbol, bool, error) {
	for _, m := range r.scope {
		sym, ok, err := m.Lookup(imp.Name, imp.Version)
		if ok || err != nil {
			return sym, ok, err
		}
	}
	return module.Symbol{}, false, nil
}

func (r *resolver) word(at arch.Addr) (uint64, error) {
	var buf [8]byte
	err := r.mem.Read(at, buf[:])
	return binary.LittleEndian.Uint64(buf[:]), err
}

// dynamic prefers what the dynamic linker itself has bound: the image's slot.
// One that points into the image's own code may be bound lazily and then leads
// to the PLT, which a call may go through, but which is not the function.
func (r *resolver) dynamic(imp format.Import) (link.Value, error) {
	v := link.Value{}
	if imp.Slot != 0 {
		v.Slot = r.image.Addr(uint64(imp.Slot))
		bound, err := r.word(v.Slot)
		if err != nil {
			return link.Value{}, err
		}
		if bound != 0 && !r.image.IsCode(arch.Addr(bound)) {
			return link.Value{Addr: arch.Addr(bound), HasAddr: true}, nil
		}
	}
	sym, ok, err := r.lookup(imp)
	switch {
	case err != nil:
		return link.Value{}, err
	case !ok && imp.Weak:
		return link.Value{HasAddr: true}, nil
	case !ok:
		return link.Value{}, r.notFound(imp)
	case !sym.IsIfunc():
		v.Addr, v.HasAddr = sym.Addr(), true
		return v, nil
	}
	bound, ok, err := r.boundIfunc(sym)
	if err != nil {
		return link.Value{}, err
	}
	if ok {
		v.Addr, v.HasAddr = bound, true
	} else if v.Slot == 0 {
		return link.Value{}, refused("%s is an indirect function (IFUNC) that nothing in the process has resolved yet", imp.Name)
	}
	return v, nil
}

// boundIfunc finds a word in the defining module that the dynamic linker has
// filled with what the resolver chose.
func (r *resolver) boundIfunc(sym module.Symbol) (arch.Addr, bool, error) {
	slots, err := sym.Module.Slots(r.arch.Dynamic.IRelative)
	if err != nil {
		return 0, false, err
	}
	for _, s := range slots {
		if uint64(s.Addend) != sym.Value {
			continue
		}
		bound, err := r.word(s.Addr)
		if err != nil {
			return 0, false, err
		}
		// Unresolved, a lazily bound slot leads to its PLT entry; no resolver
		// returns itself.
		if bound != 0 && arch.Addr(bound) != sym.Addr() {
			return arch.Addr(bound), true, nil
		}
	}
	return 0, false, nil
}

// tls describes byte off of a module's TLS block. What the module's own slots
// do not tell stays unknown, and is an error only if the payload needs it.
func (r *resolver) tls(m *module.Module, off uint64) (link.Value, error) {
	v := link.Value{DTP: int64(off)}
	prog, ok := m.Prog(elf.PT_TLS)
	if !ok {
		return v, refused("%s has no thread-local storage", m.Name())
	}
	if m == module.Program(r.modules) {
		// The executable's block is module 1 and lies beside the thread pointer
		// (ELF Handling For Thread-Local Storage, section 3).
		v.TLSModule, v.HasDTP = 1, true
		v.TP, v.HasTP = r.arch.TPOffset(off, prog.Memsz, prog.Align, prog.Vaddr), true
		return v, nil
	}
	dyn := r.arch.Dynamic
	slots, err := m.Slots(dyn.DTPMod, dyn.TPOff, dyn.TLSDesc)
	if errors.Is(err, module.ErrNoDynamic) {
		return v, nil
	}
	if err != nil {
		return v, err
	}
	for _, s := range slots {
		start, ok, err := r.ownTLS(m, s)
		if err != nil {
			return v, err
		}
		if !ok {
			continue // of another module's variable
		}
		at := s.Addr
		if s.Type == dyn.TLSDesc {
			at += descriptorArgument
		}
		word, err := r.word(at)
		if err != nil {
			return v, err
		}
		switch s.Type {
		case dyn.DTPMod:
			v.TLSModule, v.HasDTP = word, word != 0
		case dyn.TPOff:
			v.TP, v.HasTP = int64(word)-int64(start)+int64(off), true
		case dyn.TLSDesc:
			// In static TLS the argument is the offset from the thread pointer,
			// else it is the address of what the resolver needs.
			if arg := int64(word); -maxStaticTLS < arg && arg < maxStaticTLS && arg != 0 {
				v.TP, v.HasTP = arg-int64(start)+int64(off), true
			}
		}
	}
	return v, nil
}

const (
	descriptorArgument = 8        // bytes into a TLS descriptor
	maxStaticTLS       = 16 << 20 // bytes; no pointer is that low
)

// ownTLS tells which byte of a module's TLS block a slot is for; ok is false
// where it is for another module's variable.
func (r *resolver) ownTLS(m *module.Module, s module.Slot) (start uint64, ok bool, err error) {
	start, preempt, ok, err := m.SlotTLS(s)
	if err != nil || !ok || preempt == "" {
		return start, ok, err
	}
	sym, ok, err := r.lookup(format.Import{Name: preempt})
	return start, ok && sym.Module == m, err
}
