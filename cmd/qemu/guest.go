// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/cmd/internal/vm"
	"github.com/ulpatch/ulpatch/cmd/qemu/talk"
)

// firmware is where Debian's packages have what QEMU loads.
var firmware = []string{"/usr/share/seabios", "/usr/share/qemu", "/usr/lib/ipxe/qemu"}

const (
	virtioDisks    = 2
	workersOnDisk  = 2
	diskSize       = "4G"
	guestCPUs      = 2
	answerPatience = 3 * time.Minute // of the guest, on a machine that does other things
)

// guest is a running QEMU with a guest under load.
type guest struct {
	*monitor
	cmd     *exec.Cmd
	done    chan struct{} // closed when QEMU has ended
	end     error         // how; read after done
	dir     string
	disks   []string
	echo    *echoServer
	control net.Conn
	answers *bufio.Reader
}

// kit is what guests are made of.
type kit struct {
	image   string // QEMU
	kernel  string
	initrd  string
	scratch string
}

// newKit fetches the kernel and makes the initramfs.
func newKit(ctx context.Context, image, scratch string) (*kit, error) {
	cpu, err := vm.ByName("amd64")
	if err != nil {
		return nil, err
	}
	kernel, err := vm.FetchKernel(ctx, cpu, os.Stderr)
	if err != nil {
		return nil, err
	}
	program := filepath.Join(scratch, "init")
	if err := vm.BuildStatic(ctx, cpu, "github.com/ulpatch/ulpatch/cmd/qemu/guest", program); err != nil {
		return nil, err
	}
	archive := vm.NewArchive(nil)
	if err := archive.File(program, "/init"); err != nil {
		return nil, err
	}
	all, err := findModules(kernel.Modules)
	if err != nil {
		return nil, err
	}
	files, err := all.order(ctx, drivers)
	if err != nil {
		return nil, err
	}
	for i, file := range files {
		if err := archive.File(file, fmt.Sprintf("%s/%02d-%s", talk.Modules, i, filepath.Base(file))); err != nil {
			return nil, err
		}
	}
	k := &kit{image: image, kernel: kernel.Image, initrd: filepath.Join(scratch, "initrd"), scratch: scratch}
	f, err := os.Create(k.initrd)
	if err != nil {
		return nil, err
	}
	_, err = archive.WriteTo(f)
	return k, errors.Join(err, f.Close())
}

// boot starts a guest with so many MiB of memory and waits until it is under load.
func (k *kit) boot(ctx context.Context, name string, memory int) (*guest, error) {
	g := &guest{dir: filepath.Join(k.scratch, name), done: make(chan struct{})}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	for i := range virtioDisks + 1 {
		disk := filepath.Join(g.dir, fmt.Sprintf("disk%d.qcow2", i))
		if out, err := exec.CommandContext(ctx, "qemu-img", "create", "-q", "-f", "qcow2", disk, diskSize).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("qemu-img: %w: %s", err, out)
		}
		g.disks = append(g.disks, disk)
	}
	var err error
	if g.echo, err = startEcho(); err != nil {
		return nil, err
	}
	if err := g.start(k, memory); err != nil {
		g.kill()
		return nil, err
	}
	if err := g.connect(); err != nil {
		g.kill()
		return nil, fmt.Errorf("%w; the console says: %s", err, g.lastWords())
	}
	return g, nil
}

func (g *guest) start(k *kit, memory int) error {
	console, err := os.Create(g.path("qemu.log"))
	if err != nil {
		return err
	}
	defer console.Close()
	var args []string
	for _, folder := range firmware {
		args = append(args, "-L", folder)
	}
	args = append(args,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		// All of the memory is there from the start, as in a guest that has run for
		// long. 7.2.0 emulates cmpxchg16b wrongly, which newer kernels make use of.
		"-object", fmt.Sprintf("memory-backend-ram,id=ram,size=%dM,prealloc=on", memory),
		"-M", "pc,memory-backend=ram", "-m", strconv.Itoa(memory), "-smp", strconv.Itoa(guestCPUs),
		"-accel", "tcg,thread=multi", "-cpu", "max,-cx16",
		"-kernel", k.kernel, "-initrd", k.initrd,
		"-append", fmt.Sprintf("console=ttyS0 loglevel=4 panic=-1 no_timer_check %s%d %s%d",
			talk.PortWord, g.echo.port(), talk.WorkersWord, workersOnDisk),
		"-serial", "file:"+g.path("console.log"),
		"-chardev", "socket,id=control,server=on,wait=off,path="+g.path("control"), "-serial", "chardev:control",
		"-qmp", "unix:"+g.path("monitor")+",server=on,wait=off",
		"-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0",
		"-drive", "if=none,id="+probeDisk+",driver=blklogwrites,file.driver=null-co,file.size=1M,"+
			"log.driver=blkdebug,log.node-name="+probeLog+",log.image.driver=null-co,log.image.size=64M",
	)
	for i, disk := range g.disks {
		args = append(args, "-blockdev", fmt.Sprintf(
			"driver=qcow2,node-name=disk%d,discard=unmap,file.driver=file,file.filename=%s", i, disk))
		if i < virtioDisks {
			args = append(args, "-object", fmt.Sprintf("iothread,id=io%d", i),
				"-device", fmt.Sprintf("virtio-blk-pci,drive=disk%d,iothread=io%d", i, i))
		} else {
			args = append(args, "-device", fmt.Sprintf("nvme,drive=disk%d,serial=%d", i, i))
		}
	}
	g.cmd = exec.Command(k.image, args...)
	g.cmd.Stdout, g.cmd.Stderr = console, console
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		close(g.done)
		return err
	}
	go func() {
		g.end = g.cmd.Wait()
		close(g.done)
	}()
	return nil
}

// connect waits for the monitor and for the guest's first answer.
func (g *guest) connect() (err error) {
	if g.monitor, err = dialMonitor(g.path("monitor")); err != nil {
		return err
	}
	if g.control, err = dial(g.path("control")); err != nil {
		return err
	}
	g.answers = bufio.NewReader(g.control)
	// What is asked before the guest listens is lost.
	for limit := time.Now().Add(answerPatience); ; {
		if _, err = g.askWithin(2*time.Second, talk.Mark); err == nil {
			break
		}
		if dead := g.ended(); dead != nil {
			return dead
		}
		if time.Now().After(limit) {
			return fmt.Errorf("the guest does not answer: %w", err)
		}
	}
	return g.drain()
}

// drain reads what may still come of answers to earlier questions.
func (g *guest) drain() error {
	for {
		if err := g.control.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		_, err := g.answers.ReadString('\n')
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (g *guest) pid() int                { return g.cmd.Process.Pid }
func (g *guest) path(name string) string { return filepath.Join(g.dir, name) }

// ask puts a question to the guest.
func (g *guest) ask(words ...string) (talk.Answer, error) {
	a, err := g.askWithin(answerPatience, words...)
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		err = fmt.Errorf("guest: %s: %w", strings.Join(words, " "), err)
		if dead := g.ended(); dead != nil {
			err = errors.Join(dead, err)
		}
	}
	return a, err
}

func (g *guest) askWithin(limit time.Duration, words ...string) (a talk.Answer, err error) {
	if err := g.control.SetDeadline(time.Now().Add(limit)); err != nil {
		return a, err
	}
	if _, err := fmt.Fprintln(g.control, strings.Join(words, " ")); err != nil {
		return a, err
	}
	line, err := g.answers.ReadBytes('\n')
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(line, &a)
}

// mark returns what the load has done since the last mark, and wants it to have
// found nothing wrong.
func (g *guest) mark() (talk.Counters, error) {
	a, err := g.ask(talk.Mark)
	if err == nil && a.Errors > 0 {
		err = fmt.Errorf("the guest found %d errors: %s", a.Errors, a.Fault)
	}
	return a.Counters, err
}

// verify has the guest read back all that it has written.
func (g *guest) verify() (talk.Counters, error) {
	a, err := g.ask(talk.Verify)
	if err == nil && a.Errors > 0 {
		err = fmt.Errorf("the guest found %d errors: %s", a.Errors, a.Fault)
	}
	return a.Counters, err
}

// ended returns how QEMU ended, or nil while it runs.
func (g *guest) ended() error {
	select {
	case <-g.done:
		how := g.end
		if how == nil {
			how = errors.New("exit status 0")
		}
		return fmt.Errorf("QEMU has ended: %w: %s", how, g.lastWords())
	default:
		return nil
	}
}

// lastWords is the end of what QEMU and the guest's kernel have said, in one line.
func (g *guest) lastWords() string {
	var last []string
	for _, name := range []string{"qemu.log", "console.log"} {
		text, err := os.ReadFile(g.path(name))
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		last = append(last, lines[max(0, len(lines)-4):]...)
	}
	return strings.Join(last, " | ")
}

// unharmed makes sure that QEMU lives and that no thread of it is stopped or
// traced.
func (g *guest) unharmed() error {
	if dead := g.ended(); dead != nil {
		return dead
	}
	tids, err := proc.Threads(g.pid())
	if err != nil {
		return err
	}
	for _, tid := range tids {
		status, err := proc.ReadStatus(tid)
		if err != nil {
			continue // it has ended meanwhile
		}
		if status.State == 'T' || status.State == 't' || status.Tracer != 0 {
			return fmt.Errorf("thread %d of QEMU: state %c, traced by %d", tid, status.State, status.Tracer)
		}
	}
	return nil
}

// quit ends QEMU in an orderly way and looks at what is left of the disks.
func (g *guest) quit(ctx context.Context) error {
	defer g.kill()
	if _, err := g.execute("quit", nil); err != nil {
		return err
	}
	select {
	case <-g.done:
	case <-time.After(time.Minute):
		return errors.New("QEMU does not quit")
	}
	if g.end != nil {
		return g.ended()
	}
	for _, disk := range g.disks {
		// Exit status 3: clusters are allocated that nothing uses; what was cut
		// off in the middle of a write leaves some.
		out, err := exec.CommandContext(ctx, "qemu-img", "check", disk).CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 3) {
			return fmt.Errorf("qemu-img check %s: %w: %s", filepath.Base(disk), err, out)
		}
	}
	return nil
}

// kill ends what is still there, at once.
func (g *guest) kill() {
	if g.echo != nil {
		g.echo.close()
	}
	if g.control != nil {
		g.control.Close()
	}
	if g.monitor != nil {
		g.monitor.close()
	}
	if g.cmd != nil && g.cmd.Process != nil {
		_ = g.cmd.Process.Kill()
		<-g.done
	}
}
