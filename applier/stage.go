// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/applier/link"
	"github.com/ulpatch/ulpatch/arch"
)

// stage maps all parts of a plan into a process, where nothing leads to them
// yet. It borrows one thread; the others run on. held is how long the thread
// was away. On an error whatever was mapped is unmapped again; should that go
// wrong too, the error says so.
func stage(p *process, g gadgets, pl *plan, step func(string)) (held time.Duration, err error) {
	return withBorrowed(p, g, step, func(b *borrowed) error {
		var mapped []region
		for _, part := range pl.parts {
			if err := b.mapPart(part, pl.id, &mapped); err != nil {
				err = fmt.Errorf("%s: %w", part.module.Name(), err)
				if uerr := b.unmap(mapped); uerr != nil {
					err = &undoError{err, uerr}
				}
				return err
			}
		}
		return nil
	})
}

// withBorrowed runs f with a borrowed thread and gives it back. held is how long
// it was away.
func withBorrowed(p *process, g gadgets, step func(string), f func(*borrowed) error) (held time.Duration, err error) {
	err = onOwnThread(func() error {
		b, err := borrow(p, g, step)
		if err != nil {
			return err
		}
		err = f(b)
		err = errors.Join(err, b.giveBack())
		held = time.Since(b.since)
		return err
	})
	return held, err
}

// region is memory of the process that is ours.
type region struct {
	at   arch.Addr
	size uint64
}

// unmap unmaps what stage has mapped.
func (b *borrowed) unmap(regions []region) error {
	for _, r := range regions {
		if _, err := b.syscall("munmap", b.p.arch.Syscall.Munmap, uint64(r.at), r.size); err != nil {
			return fmt.Errorf("%d bytes stay mapped at %#x: %w", r.size, uint64(r.at), err)
		}
	}
	return nil
}

// mapPart brings a part into the process through a sealed memfd: it is filled
// and can never be changed again before any of it is mapped, so that no page is
// writable and executable at any time.
func (b *borrowed) mapPart(part *part, id string, mapped *[]region) (err error) {
	sys := b.p.arch.Syscall
	name := append([]byte(memfdName+id), 0)
	if len(name) > scratchSize {
		return fmt.Errorf("id of %d bytes", len(id))
	}
	if err := b.p.mem.Write(b.scratch, name); err != nil {
		return err
	}
	fd, err := b.memfd()
	if err != nil {
		return err
	}
	defer func() {
		_, cerr := b.syscall("close", sys.Close, fd)
		err = errors.Join(err, cerr)
	}()
	if err := b.fill(fd, part.image.Bytes); err != nil {
		return err
	}
	l := part.layout
	code := uint64(unix.PROT_READ | unix.PROT_EXEC)
	if part.guarded {
		code |= sys.ProtGuarded
	}
	for _, m := range []struct {
		link.Region
		prot uint64
	}{
		{l.Data, unix.PROT_READ},
		{l.Code, code},
		{l.Vars, unix.PROT_READ | unix.PROT_WRITE},
	} {
		if m.Size == 0 {
			continue
		}
		at := part.image.Base + arch.Addr(m.Offset)
		const flags = unix.MAP_PRIVATE | unix.MAP_FIXED_NOREPLACE
		got, err := b.syscall("mmap", sys.Mmap, uint64(at), m.Size, m.prot, flags, fd, m.Offset)
		if err != nil {
			return fmt.Errorf("%d bytes at %#x: %w", m.Size, uint64(at), err)
		}
		*mapped = append(*mapped, region{arch.Addr(got), m.Size})
		if arch.Addr(got) != at {
			return fmt.Errorf("the kernel mapped %#x for %#x", got, uint64(at))
		}
	}
	return nil
}

// mfdNoexecSeal is what a system with vm.memfd_noexec=2 asks for. It concerns
// execve, not mappings.
const mfdNoexecSeal = 8

func (b *borrowed) memfd() (uint64, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := b.syscall("memfd_create", b.p.arch.Syscall.MemfdCreate, uint64(b.scratch), flags)
	if errors.Is(err, unix.EACCES) {
		fd, err = b.syscall("memfd_create", b.p.arch.Syscall.MemfdCreate, uint64(b.scratch), flags|mfdNoexecSeal)
	}
	return fd, err
}

// fill writes and seals the memfd from our side.
func (b *borrowed) fill(fd uint64, data []byte) error {
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/task/%d/fd/%d", b.p.id.PID, b.TID, fd), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

// ours are the mappings of records, as the memory map has them: a range that was
// only partly mapped when a tool died may hold somebody else's memory by now. A
// record comes last of its payload, so that what is left can still be found.
func (p *process) ours(records []*record) []region {
	var regions []region
	for _, r := range records {
		lo, hi := r.bounds()
		home, _ := p.maps.Find(r.Base)
		for i := len(p.maps) - 1; i >= 0; i-- {
			m := p.maps[i]
			if lo <= m.Start && m.End <= hi && m.Inode == home.Inode && m.Dev == home.Dev && m.Path == r.Path {
				regions = append(regions, region{m.Start, uint64(m.End - m.Start)})
			}
		}
	}
	return regions
}

// leakedFiles are descriptors of memfds of ours that a tool that died has left
// open in a process.
func (p *process) leakedFiles() []uint64 {
	dir := fmt.Sprintf("/proc/%d/fd", p.live)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var fds []uint64
	for _, e := range entries {
		link, err := os.Readlink(filepath.Join(dir, e.Name()))
		if fd, nerr := strconv.ParseUint(e.Name(), 10, 31); err == nil && nerr == nil && strings.HasPrefix(link, memfdPrefix) {
			fds = append(fds, fd)
		}
	}
	return fds
}

// unstage unmaps memory of ours, and closes files.
func unstage(p *process, g gadgets, regions []region, files []uint64, step func(string)) (err error) {
	if len(regions)+len(files) == 0 {
		return nil
	}
	_, err = withBorrowed(p, g, step, func(b *borrowed) error {
		for _, fd := range files {
			if _, err := b.syscall("close", p.arch.Syscall.Close, fd); err != nil {
				return err
			}
		}
		return b.unmap(regions)
	})
	return err
}
