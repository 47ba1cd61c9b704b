// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"fmt"
	"syscall"
)

const nginxConfig = `
daemon off;
user root;
worker_processes 2;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen %[2]s;
		root %[1]s;
		location /again { rewrite ^/again/(.*)$ /$1 last; }
	}
}
`

// nginx is a master and two workers; SIGQUIT ends them gracefully.
var nginx = service{images: []string{"nginx"}, start: func(_ context.Context, at place) (*instance, error) {
	_, address, err := freePort()
	if err != nil {
		return nil, err
	}
	config, err := at.write("nginx.conf", fmt.Sprintf(nginxConfig, at.dir, address))
	if err != nil {
		return nil, err
	}
	if _, err := at.write("page.html", "a page of nginx\n"); err != nil {
		return nil, err
	}
	probe := func(address string) error {
		return request(address, "GET /again/page.html HTTP/1.0\r\n\r\n", "a page of nginx\n")
	}
	return server(at, syscall.SIGQUIT, probe, address, "-p", at.dir, "-e", at.dir+"/error.log", "-c", config)
}}
