// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/ulpatch/ulpatch/cmd/qemu/talk"
)

// effect is a request that QEMU answers in one way without a fix and in another
// with it.
type effect struct {
	fix           string
	what          string
	before, after string // the answer, or a part of it
	ask           func(r *run, n int) (string, error)
}

var effects = []effect{
	{
		fix: "char-7.2.9", what: "monitor: chardev-add fd, which is abstract",
		before: "expects an abstract device type", after: "expects a non-abstract device type",
		ask: func(r *run, _ int) (string, error) { return r.guest.human("chardev-add fd,id=effect") },
	},
	{
		fix: "raw-format-7.2.15", what: "monitor: a raw disk that begins behind the end of its file",
		before: "Offset (0) cannot be greater", after: "Offset (1048576) cannot be greater",
		ask: func(r *run, _ int) (string, error) {
			return said(r.guest.execute("blockdev-add", map[string]any{
				"driver": "raw", "node-name": "effect", "offset": 1 << 20,
				"file": map[string]any{"driver": "null-co", "size": 4096},
			}))
		},
	},
	{
		fix: "block-7.2.13", what: "monitor: open an image that names a file of the host's as its data (CVE-2024-4467)",
		before: "opened", after: "Could not open",
		ask: openForged,
	},
	{
		fix: "virtio-net-7.2.3", what: "guest: does a network card that is told not to (queue_reset=off) offer to reset single queues?",
		before: "1", after: "0",
		ask: offersReset,
	},
}

// said is the answer of a command that is not expected to work.
func said(_ any, err error) (string, error) {
	var no *refusal
	switch {
	case errors.As(err, &no):
		return no.Desc, nil
	case err != nil:
		return "", err
	}
	return "done", nil
}

// openForged opens an image of which the guest could have written the header: it
// has its data in a file that is named in the form json:{...}.
func openForged(r *run, n int) (string, error) {
	secret := r.guest.path("secret")
	if err := os.WriteFile(secret, make([]byte, 64<<10), 0o600); err != nil {
		return "", err
	}
	forged := fmt.Sprintf(`json:{"driver":"file","filename":"%s"}`, secret)
	harmless := strings.Repeat("x", len(forged))
	image := r.guest.path(fmt.Sprintf("forged%d.qcow2", n))
	create := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file="+harmless, image, "64k")
	create.Dir = r.guest.dir
	if out, err := create.CombinedOutput(); err != nil {
		return "", fmt.Errorf("qemu-img: %w: %s", err, out)
	}
	data, err := os.ReadFile(image)
	if err != nil {
		return "", err
	}
	if data, err = replaceOnce(data, harmless, forged); err != nil {
		return "", err
	}
	if err := os.WriteFile(image, data, 0o600); err != nil {
		return "", err
	}
	node := fmt.Sprintf("forged%d", n)
	answer, err := said(r.guest.execute("blockdev-add", map[string]any{
		"driver": "qcow2", "node-name": node, "file": map[string]any{"driver": "file", "filename": image},
	}))
	if err != nil || answer != "done" {
		return answer, err
	}
	_, err = r.guest.execute("blockdev-del", map[string]string{"node-name": node})
	return "opened", err
}

// offersReset plugs a network card in and has the guest read what it offers.
func offersReset(r *run, n int) (string, error) {
	const queueReset = 40
	slot := 0x10 + n
	_, err := r.guest.execute("device_add", map[string]string{
		"driver": "virtio-net-pci", "id": fmt.Sprintf("effect%d", n), "addr": fmt.Sprintf("%#x", slot), "queue_reset": "off",
	})
	if err != nil {
		return "", err
	}
	a, err := r.guest.ask(talk.Features, fmt.Sprintf("0000:00:%02x.0", slot))
	if err != nil {
		return "", err
	}
	if len(a.Bits) <= queueReset {
		return "", fmt.Errorf("features %q", a.Bits)
	}
	return a.Bits[queueReset : queueReset+1], nil
}

// act shows that fixes act: before they are applied, while they are on, and after
// they were reverted.
func (r *run) act(ctx context.Context) error {
	r.say("")
	n := 0
	for _, e := range effects {
		f, err := r.fix(ctx, e.fix)
		if err != nil {
			return err
		}
		answer := func(want string) error {
			got, err := e.ask(r, n)
			n++
			if err != nil {
				return fmt.Errorf("%s: %w", e.fix, err)
			}
			if !strings.Contains(got, want) {
				return fmt.Errorf("%s: answered %q instead of %q", e.fix, got, want)
			}
			return nil
		}
		r.progress("effect of %s", e.fix)
		if err := answer(e.before); err != nil {
			return err
		}
		a, err := r.apply(ctx, f)
		if err != nil {
			return err
		}
		if a.Outcome != applied {
			return fmt.Errorf("%s: %s: %s", e.fix, a.Outcome, a.Reason)
		}
		if err := answer(e.after); err != nil {
			return err
		}
		if err := r.revert(ctx, f, &a); err != nil {
			return err
		}
		if err := answer(e.before); err != nil {
			return err
		}
		r.say("effect: %s: %s: %q, with the fix %q, reverted %q", e.fix, e.what, e.before, e.after, e.before)
	}
	return r.tidy(ctx)
}

// survive shows a fix without which the guest ends its QEMU: another guest does
// just that, and then this one, with the fix.
func (r *run) survive(ctx context.Context) error {
	f, err := r.fix(ctx, "vmxnet3-7.2.2")
	if err != nil {
		return err
	}
	r.progress("booting a guest that is to end its QEMU")
	other, err := r.kit.boot(ctx, "other", r.memory)
	if err != nil {
		return err
	}
	defer other.kill()
	if err := jumbo(other); err == nil {
		return fmt.Errorf("%s: QEMU without the fix lives on", f.name)
	}
	select {
	case <-other.done:
	case <-time.After(time.Minute):
		return fmt.Errorf("%s: QEMU without the fix lives on", f.name)
	}
	r.say("\nwithout %s: %v", f.name, other.ended())
	a, err := r.apply(ctx, f)
	if err != nil {
		return err
	}
	if a.Outcome != applied {
		return fmt.Errorf("%s: %s: %s", f.name, a.Outcome, a.Reason)
	}
	if err := jumbo(r.guest); err != nil {
		return fmt.Errorf("%s: with the fix: %w", f.name, err)
	}
	if _, err := r.guest.mark(); err != nil {
		return fmt.Errorf("%s: with the fix: %w", f.name, err)
	}
	r.say("with %s: the same is done, QEMU and the guest live on", f.name)
	if err := r.revert(ctx, f, &a); err != nil {
		return err
	}
	return r.tidy(ctx)
}

// jumbo plugs a network card in and has the guest use packets of 9000 bytes, the
// most that the card can.
func jumbo(g *guest) error {
	const mac = "52:54:00:12:34:99"
	if _, err := g.execute("netdev_add", map[string]string{"type": "user", "id": "jumbo"}); err != nil {
		return err
	}
	_, err := g.execute("device_add", map[string]string{
		"driver": "vmxnet3", "id": "jumbo", "netdev": "jumbo", "mac": mac, "addr": "0x1f",
	})
	if err != nil {
		return err
	}
	_, err = g.ask(talk.Speak, mac, "9000")
	return err
}
