// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// dnsmasq answers for one name itself and asks a server of ours for all others,
// so that replies go through its parser and its cache.
var dnsmasq = service{images: []string{"dnsmasq"}, start: func(ctx context.Context, at place) (*instance, error) {
	port, address, err := freePort()
	if err != nil {
		return nil, err
	}
	upstream, err := serveDNS(ctx)
	if err != nil {
		return nil, err
	}
	var asked atomic.Int64
	probe := func(address string) error {
		for name, want := range map[string]string{
			"host.example.": "192.0.2.1",
			fmt.Sprintf("n%d.elsewhere.example.", asked.Add(1)): "192.0.2.2",
		} {
			if err := probeDNS(address, name, want, seconds(5)); err != nil {
				return err
			}
		}
		return nil
	}
	return server(at, syscall.SIGTERM, probe, address,
		"--keep-in-foreground", "--conf-file=/dev/null", "--port="+port, "--listen-address=127.0.0.1",
		"--bind-interfaces", "--no-resolv", "--no-hosts", "--user=", "--pid-file=",
		"--add-subnet=192.0.2.0/24", "--address=/host.example/192.0.2.1", fmt.Sprintf("--server=127.0.0.1#%d", upstream.Port()))
}}

func probeDNS(address, name, want string, limit time.Duration) error {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	found, err := resolver.LookupNetIP(ctx, "ip4", name)
	if err != nil {
		return err
	}
	if len(found) != 1 || found[0].Unmap().String() != want {
		return fmt.Errorf("%s: got %v, not %s", name, found, want)
	}
	return nil
}

var forgeries atomic.Int64

// forgedSubnet (CVE-2026-4893): a reply that is for another subnet than the query
// must be dropped.
func forgedSubnet(server *instance) (string, error) {
	name := fmt.Sprintf("%s%d.example.", forgery, forgeries.Add(1))
	err := probeDNS(server.address, name, "192.0.2.2", seconds(2))
	var refused *net.DNSError
	if errors.As(err, &refused) && refused.IsTimeout {
		return fixed, nil
	}
	return vulnerable, err
}

// serveDNS answers 192.0.2.2 to whatever it is asked, until ctx is done.
func serveDNS(ctx context.Context) (netip.AddrPort, error) {
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return netip.AddrPort{}, err
	}
	context.AfterFunc(ctx, func() { socket.Close() })
	go func() {
		packet := make([]byte, 512)
		for {
			n, from, err := socket.ReadFromUDPAddrPort(packet)
			if err != nil {
				return
			}
			_, _ = socket.WriteToUDPAddrPort(answerDNS(packet[:n]), from)
		}
	}()
	return socket.LocalAddr().(*net.UDPAddr).AddrPort(), nil
}

// forgery begins the names for which our replies are for a wrong subnet.
const forgery = "forgery"

// answerDNS turns a query with one question into its reply (RFC 1035).
func answerDNS(query []byte) []byte {
	const header, answers, additional = 12, 7, 11
	end := header
	for end < len(query) && query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 1 + 2 + 2 // root, type, class
	if end > len(query) {
		return nil
	}
	reply := append([]byte(nil), query[:end]...)
	reply[2] |= 0x80 // a reply
	reply[3] = 0x80  // recursion available, no error
	reply[answers], reply[additional] = 1, 0
	reply = append(reply,
		0xc0, header, // the name of the question
		0, 1, 0, 1, // A, IN
		0, 0, 0, 60, // seconds
		0, 4, 192, 0, 2, 2)
	if bytes.HasPrefix(query[header+1:], []byte(forgery)) {
		reply[additional] = 1
		reply = append(reply,
			0, 0, 41, // the root; OPT (RFC 6891)
			2, 0, 0, 0, 0, 0, // 512 bytes, no flags
			0, 11, 0, 8, 0, 7, // a client's subnet (RFC 7871)
			0, 1, 24, 0, 203, 0, 113)
	}
	return reply
}
