// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

var memcached = service{images: []string{"memcached"}, start: func(_ context.Context, at place) (*instance, error) {
	port, address, err := freePort()
	if err != nil {
		return nil, err
	}
	probe := func(address string) error {
		return request(address, "set k 0 0 5\r\nvalue\r\nget k\r\nmg k v\r\n",
			"STORED\r\nVALUE k 0 5\r\nvalue\r\nEND\r\nVA 5\r\nvalue\r\n")
	}
	return server(at, syscall.SIGTERM, probe, address, "-u", "root", "-l", "127.0.0.1", "-p", port, "-U", "0", "-t", "4")
}}

var mosquitto = service{images: []string{"mosquitto"}, start: func(_ context.Context, at place) (*instance, error) {
	port, address, err := freePort()
	if err != nil {
		return nil, err
	}
	config, err := at.write("mosquitto.conf", fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nuser root\n", port))
	if err != nil {
		return nil, err
	}
	return server(at, syscall.SIGTERM, probeMQTT, address, "-c", config)
}}

// probeMQTT connects, subscribes to a topic and waits for what it publishes
// there (MQTT 3.1.1, QoS 0).
func probeMQTT(address string) error {
	const (
		connect   = "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00" // clean session, no client id
		subscribe = "\x82\x06\x00\x01\x00\x01t\x00"
		publish   = "\x30\x08\x00\x01thello"
	)
	return request(address, connect+subscribe+publish, publish)
}

var dnsmasq = service{images: []string{"dnsmasq"}, start: func(_ context.Context, at place) (*instance, error) {
	port, address, err := freePort()
	if err != nil {
		return nil, err
	}
	return server(at, syscall.SIGTERM, probeDNS, address,
		"--keep-in-foreground", "--conf-file=/dev/null", "--port="+port, "--listen-address=127.0.0.1",
		"--bind-interfaces", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=",
		"--address=/host.example/192.0.2.1")
}}

func probeDNS(address string) error {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	found, err := resolver.LookupNetIP(ctx, "ip4", "host.example.")
	if err != nil {
		return err
	}
	if len(found) != 1 || found[0].Unmap() != netip.MustParseAddr("192.0.2.1") {
		return fmt.Errorf("host.example: got %v", found)
	}
	return nil
}

// qemu boots firmware that finds no disk and starts again every second, so that
// the translator has work; it is asked over QMP.
var qemu = service{images: []string{"qemu-system-x86_64"}, start: func(_ context.Context, at place) (*instance, error) {
	_, address, err := freePort()
	if err != nil {
		return nil, err
	}
	probe := func(address string) error {
		return request(address, `{"execute": "qmp_capabilities"} {"execute": "query-status"}`, `"status": "running"`)
	}
	return server(at, syscall.SIGTERM, probe, address,
		"-accel", "tcg", "-m", "32", "-display", "none", "-nodefaults",
		"-L", "/usr/share/seabios", "-L", "/usr/share/qemu", "-L", "/usr/lib/ipxe/qemu",
		"-boot", "reboot-timeout=1000",
		"-vga", "std", "-netdev", "user,id=net", "-device", "e1000,netdev=net",
		"-qmp", "tcp:"+address+",server=on,wait=off")
}}
