// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier/module"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/ptrace"
	"github.com/ulpatch/ulpatch/arch"
	"github.com/ulpatch/ulpatch/arch/all"
	"github.com/ulpatch/ulpatch/format/hint"
)

// view is what is known of a process before anything of it is stopped.
type view struct {
	id      proc.ID
	live    int // a thread that has not ended, by which /proc tells of memory
	status  proc.Status
	arch    *arch.Arch
	maps    proc.Maps
	modules []*module.Module
	records []*record
	stack   uint64     // bytes that the main stack may grow to
	guards  *proc.Maps // guarded code, once somebody has asked
	masks   []byte     // of pointer authentication; nil: there is none
	masked  bool       // masks are known
}

// process is a running process that was opened.
type process struct {
	view
	mem *ptrace.Memory
}

// open looks at a process without stopping it. The caller closes it.
func open(pid int) (*process, error) {
	id, err := proc.Identify(pid)
	if err != nil {
		return nil, err
	}
	live, err := proc.LiveThread(pid)
	if err != nil {
		return nil, err
	}
	status, err := proc.ReadStatus(live)
	if err != nil {
		return nil, err
	}
	if err := patchable(pid, status); err != nil {
		return nil, err
	}
	mem, err := ptrace.OpenMemory(live)
	if err != nil {
		return nil, explainOpen(pid, err)
	}
	p := &process{view{id: id, live: live, status: status}, mem}
	if err := p.look(); err != nil {
		mem.Close()
		return nil, err
	}
	return p, nil
}

func patchable(pid int, status proc.Status) error {
	if status.Kernel {
		return refused("pid %d is a kernel thread", pid)
	}
	if status.ShadowStack {
		return refused("pid %d has a shadow stack (CET), which a borrowed thread would violate", pid)
	}
	if status.TGID != pid {
		return hint.With(refused("%d is a thread of process %d", pid, status.TGID), fmt.Sprintf("use --pid %d", status.TGID))
	}
	return nil
}

func explainOpen(pid int, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return hint.With(fmt.Errorf("pid %d is not ours to trace: %w", pid, err),
			"run as root, or as the process's user with kernel.yama.ptrace_scope at 0")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH):
		return fmt.Errorf("pid %d: %w", pid, proc.ErrNoProcess)
	}
	return err
}

// look reads maps, modules and records again.
func (p *process) look() error {
	maps, err := proc.ReadMaps(p.live)
	if live, lerr := proc.LiveThread(p.id.PID); err == nil && len(maps) == 0 && lerr == nil { // that one has ended
		p.live = live
		maps, err = proc.ReadMaps(live)
	}
	if err != nil {
		return err
	}
	if len(maps) == 0 {
		return fmt.Errorf("pid %d has no memory: %w", p.id.PID, proc.ErrNoProcess)
	}
	p.maps, p.guards = maps, nil
	p.modules = module.Load(maps, p.mem)
	if phdr, ok := proc.ProgramHeaders(p.live); ok {
		module.MarkProgram(p.modules, arch.Addr(phdr))
	}
	if len(p.modules) == 0 {
		return refused("pid %d runs no 64-bit ELF image", p.id.PID)
	}
	if p.arch, err = all.ByMachine(p.modules[0].Machine); err != nil {
		return fmt.Errorf("%w: pid %d: %w", ErrRefused, p.id.PID, err)
	}
	if p.records, err = readRecords(maps, p.mem); err != nil {
		return fmt.Errorf("pid %d: %w", p.id.PID, err)
	}
	p.stack = proc.StackLimit(p.id.PID, maxDown)
	return nil
}

func (p *process) close() { p.mem.Close() }
