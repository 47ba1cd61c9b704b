// SPDX-License-Identifier: GPL-2.0-or-later

package proc_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/applier/internal/victim"
	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/arch"
)

// TestFlagged: the kernel's own flags of our mappings say what their permissions
// say.
func TestFlagged(t *testing.T) {
	flagged, err := proc.Flagged(os.Getpid(), "ex")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := proc.ReadMaps(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range maps {
		if f, ok := flagged.Find(m.Start); m.Executable() && m.Path != "[vsyscall]" {
			n++
			if !ok || f != m {
				t.Errorf("%+v, want %+v", f, m)
			}
		} else if ok && m.Path != "[vsyscall]" {
			t.Errorf("%+v is not executable", f)
		}
	}
	if none, err := proc.Flagged(os.Getpid(), "e"); n == 0 || err != nil || len(none) > 0 {
		t.Errorf("%d executable mappings; %+v, %v", n, none, err)
	}
}

func TestParseMaps(t *testing.T) {
	const text = "00400000-00452000 r-xp 00001000 08:02 173521      /usr/bin/with  spaces and (deleted) (deleted)\n" +
		"7f0000000000-7f0000001000 rw-s 00000000 00:01 1025                       /memfd:x y (deleted)\n" +
		"7f0000002000-7f0000003000 ---p 00000000 00:00 0 \n" +
		"7f0000003000-7f0000004000 rw-p 00000000 00:00 0\n" +
		"7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]\n" +
		"7ffc00030000-7ffc00031000 r--p 7fffffffffffffff fe:00 18446744073709551615 /new\\012line\n" +
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"
	maps, err := proc.ParseMaps(text)
	if err != nil || len(maps) != 7 {
		t.Fatalf("%d mappings, %v", len(maps), err)
	}
	first := proc.Mapping{Start: 0x400000, End: 0x452000, Perms: "r-xp", Offset: 0x1000, Dev: "08:02", Inode: 173521, Path: "/usr/bin/with  spaces and (deleted) (deleted)"}
	if maps[0] != first {
		t.Errorf("%+v", maps[0])
	}
	for i, path := range []string{first.Path, "/memfd:x y (deleted)", "", "", "[stack]", "/new\\012line", "[vsyscall]"} {
		if maps[i].Path != path {
			t.Errorf("%q, want %q", maps[i].Path, path)
		}
	}
	if m := maps[1]; !m.Shared() || !m.Readable() || !m.Writable() || m.Executable() {
		t.Errorf("%+v", m)
	}
	for addr, want := range map[arch.Addr]int{0: -1, 0x3fffff: -1, 0x400000: 0, 0x451fff: 0, 0x452000: -1, 0x7f0000002fff: 2, 0x7f0000003000: 3, 0xffffffffff600000: 6, 1<<64 - 1: -1} {
		m, ok := maps.Find(addr)
		if ok != (want >= 0) || ok && m != maps[want] {
			t.Errorf("%#x: %+v, %v", uint64(addr), m, ok)
		}
	}
	for _, line := range []string{
		"x", "00400000 r-xp 00000000 00:00 0", "00400000-00300000 r-xp 00000000 00:00 0", "00400000-00400000 r-xp 00000000 00:00 0",
		"00400000-00500000 r-x 00000000 00:00 0", "00400000-00500000 r-xp zz 00:00 0", "00400000-00500000 r-xp 00000000 00:00",
		"00400000-00500000 r-xp 00000000 00:00 x", "10000000000000000-10000000000000001 r-xp 00000000 00:00 0", "\n",
	} {
		if m, err := proc.ParseMaps(line + "\n"); err == nil {
			t.Errorf("%q: %+v", line, m)
		}
	}
}

func TestOddProcess(t *testing.T) {
	dir := t.TempDir()
	p := victim.Start(t, victim.Build(t, "odd.c", "-pthread"), dir)
	p.Lines()
	id, err := proc.Identify(p.PID)
	if err != nil || id.PID != p.PID || id.Start == 0 || !id.Alive() {
		t.Errorf("%+v, %v", id, err)
	}
	if (proc.ID{PID: p.PID, Start: id.Start + 1}).Alive() {
		t.Error("an earlier process of the same number is alive")
	}
	maps, err := proc.ReadMaps(p.PID)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir + "/with  two spaces", dir + "/new\\012line", dir + "/gone (deleted)", "/memfd:in memory (deleted)"} {
		if !slices.ContainsFunc(maps, func(m proc.Mapping) bool { return m.Path == path && m.Inode != 0 && m.Shared() }) {
			t.Errorf("%q is not mapped", path)
		}
	}
	threads, err := proc.Threads(p.PID)
	if n, nerr := proc.ThreadCount(p.PID); err != nil || nerr != nil || n != 4 || len(threads) != 4 {
		t.Errorf("threads %v, count %d; %v, %v", threads, n, err, nerr)
	}
	status, err := proc.ReadStatus(threads[len(threads)-1])
	if err != nil || status.TGID != p.PID || status.Kernel || status.Tracer != 0 || !strings.Contains("RSD", string(status.State)) {
		t.Errorf("%+v, %v", status, err)
	}
	if live, err := proc.LiveThread(p.PID); live != p.PID || err != nil {
		t.Errorf("live thread %d, %v", live, err)
	}

	p.Say("end your main thread")
	victim.Await(t, "its end", func() bool { state, _ := proc.ThreadState(p.PID, p.PID); return state == 'Z' })
	live, err := proc.LiveThread(p.PID)
	if err != nil || live == p.PID || !slices.Contains(threads, live) {
		t.Errorf("live thread %d, %v", live, err)
	}
	if !id.Alive() {
		t.Error("without its main thread, it is not alive")
	}
	if maps, err := proc.ReadMaps(live); err != nil || len(maps) < 5 {
		t.Errorf("%d mappings, %v", len(maps), err)
	}

	p.Kill()
	if id.Alive() {
		t.Error("it is alive")
	}
	for name, err := range map[string]error{
		"identify": second(proc.Identify(p.PID)), "maps": second(proc.ReadMaps(p.PID)), "threads": second(proc.Threads(p.PID)),
		"live": second(proc.LiveThread(p.PID)), "status": second(proc.ReadStatus(p.PID)),
	} {
		if !errors.Is(err, proc.ErrNoProcess) {
			t.Errorf("%s of a process that has ended: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestZombie(t *testing.T) {
	child, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = child.Wait() }() // it ends whatever happens
	id, err := proc.Identify(child.Pid)
	if err != nil {
		t.Fatal(err)
	}
	victim.Await(t, "a zombie", func() bool { return !id.Alive() })
	if _, err := proc.LiveThread(child.Pid); !errors.Is(err, proc.ErrNoProcess) {
		t.Errorf("%v", err)
	}
	if maps, err := proc.ReadMaps(child.Pid); err == nil && len(maps) > 0 {
		t.Errorf("a zombie has memory: %+v", maps)
	}
}

func TestSelf(t *testing.T) {
	pids, err := proc.Processes()
	if err != nil || !slices.Contains(pids, os.Getpid()) {
		t.Errorf("%v: not in %v", err, pids)
	}
	if limit := proc.StackLimit(os.Getpid(), 1<<30); limit == 0 || limit > 1<<30 {
		t.Errorf("stack of %d bytes", limit)
	}
	if limit := proc.StackLimit(os.Getpid(), 4096); limit != 4096 {
		t.Errorf("stack of %d bytes", limit)
	}
	if status, err := proc.ReadStatus(2); err == nil && status.Name == "kthreadd" && !status.Kernel {
		t.Error("kthreadd has memory")
	}
}

func FuzzParseMaps(f *testing.F) {
	f.Add("00400000-00452000 r-xp 00001000 08:02 173521      /usr/bin/x (deleted)\n")
	f.Fuzz(func(t *testing.T, text string) {
		maps, err := proc.ParseMaps(text)
		if err != nil {
			return
		}
		for _, m := range maps {
			_, _, _, _ = m.Readable(), m.Writable(), m.Executable(), m.Shared()
			if m.Start >= m.End || !m.Contains(m.Start) || m.Contains(m.End) {
				t.Errorf("%+v", m)
			}
		}
	})
}
