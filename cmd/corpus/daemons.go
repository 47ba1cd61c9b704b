// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
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

// probeMQTT subscribes to a topic and waits for what it publishes there, with
// MQTT 3.1.1 and QoS 0, and then with MQTT 5 and QoS 2, and a will.
func probeMQTT(address string) error {
	const (
		connect3   = "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00" // clean session, no client id
		subscribe3 = "\x82\x06\x00\x01\x00\x01t\x00"
		publish3   = "\x30\x08\x00\x01thello"

		// No properties; the will has a delay of 1 s, topic w, payload bye.
		connect5   = "\x10\x1b\x00\x04MQTT\x05\x06\x00\x3c\x00\x00\x00" + "\x05\x18\x00\x00\x00\x01" + "\x00\x01w" + "\x00\x03bye"
		subscribe5 = "\x82\x07\x00\x01\x00\x00\x01u\x00"
		publish5   = "\x34\x0b\x00\x01u\x00\x02\x00hello"
		release5   = "\x62\x02\x00\x02"
		arrived5   = "\x00\x01u\x00hello"
	)
	return errors.Join(
		request(address, connect3+subscribe3+publish3, publish3),
		request(address, connect5+subscribe5+publish5+release5, arrived5))
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
