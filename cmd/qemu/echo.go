// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"io"
	"net"
)

// echoServer sends everything back that comes over a connection.
type echoServer struct{ listener net.Listener }

func startEcho() (*echoServer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			link, err := listener.Accept()
			if err != nil {
				return // it was closed
			}
			go func() {
				defer link.Close()
				_, _ = io.Copy(link, link) // the guest finds out what is missing
			}()
		}
	}()
	return &echoServer{listener}, nil
}

func (e *echoServer) port() int { return e.listener.Addr().(*net.TCPAddr).Port }
func (e *echoServer) close()    { e.listener.Close() }
