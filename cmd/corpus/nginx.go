// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"syscall"
	"time"
)

// Its own addresses, in this order: HTTP, HTTPS, HTTP/2 without TLS, a stream
// with TLS, SMTP.
const nginxConfig = `
daemon off;
user root;
worker_processes 2;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections 128; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	ssl_certificate %[1]s/cert.pem;
	ssl_certificate_key %[1]s/key.pem;
	charset_map koi8-r utf-8 { C1 D0B0; }
	server {
		listen %[2]s;
		root %[1]s;
		location /again { rewrite ^/again/(.*)$ /$1?from=$1 last; }
		location /proxied/ { proxy_pass http://%[2]s/; }
		location /grpc { grpc_pass %[4]s; }
		location /koi8 { alias %[1]s/koi8.html; source_charset utf-8; charset koi8-r; default_type text/html; }
		location /dav/ { dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; }
		location = /film.mp4 { mp4; }
		location /auth { add_header Auth-Status Denied always; return 200; }
	}
	server { listen %[3]s ssl; server_name tls.example; return 200 "over TLS\n"; }
	server { listen %[4]s http2; return 200 "over gRPC\n"; }
}
stream {
	ssl_certificate %[1]s/cert.pem;
	ssl_certificate_key %[1]s/key.pem;
	server { listen %[5]s ssl; return "a stream\n"; }
}
mail {
	auth_http %[2]s/auth;
	server_name mail.example;
	server { listen %[6]s; protocol smtp; smtp_auth plain login cram-md5; }
}
`

// nginx is a master and two workers with most of its modules at work; SIGQUIT
// ends them gracefully.
var nginx = service{images: []string{"nginx"}, start: func(_ context.Context, at place) (*instance, error) {
	addresses := make([]string, 5)
	arguments := []any{at.dir}
	for i := range addresses {
		var err error
		if _, addresses[i], err = freePort(); err != nil {
			return nil, err
		}
		arguments = append(arguments, addresses[i])
	}
	certificate, key, err := selfSigned("tls.example")
	if err != nil {
		return nil, err
	}
	for name, content := range map[string]string{
		"nginx.conf": fmt.Sprintf(nginxConfig, arguments...),
		"cert.pem":   certificate,
		"key.pem":    key,
		"page.html":  "a page of nginx\n",
		"koi8.html":  "in Cyrillic: а\n",
		"film.mp4":   "\x00\x00\x00\x10ftypisom\x00\x00\x00\x00",
	} {
		if _, err := at.write(name, content); err != nil {
			return nil, err
		}
	}
	probe := func(http string) error {
		return errors.Join(
			request(http, "GET /page.html HTTP/1.0\r\n\r\n", "a page of nginx\n"),
			request(http, "GET /again/page.html HTTP/1.0\r\n\r\n", "a page of nginx\n"),
			request(http, "GET /proxied/page.html HTTP/1.0\r\n\r\n", "a page of nginx\n"),
			request(http, "GET /koi8 HTTP/1.0\r\n\r\n", "in Cyrillic: \xc1\n"),
			request(http, "GET /grpc HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "over gRPC\n"),
			request(http, "PUT /dav/a HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", " 20"),
			request(http, "COPY /dav/a HTTP/1.0\r\nHost: a\r\nDestination: /dav/b\r\n\r\n", " 204 "),
			request(http, "GET /dav/b HTTP/1.0\r\n\r\n", "\r\n\r\nhi"),
			request(http, "GET /film.mp4?start=1 HTTP/1.0\r\n\r\n", " 500 "), // too short a film
			requestTLS(addresses[1], "GET / HTTP/1.0\r\n\r\n", "over TLS\n"),
			requestTLS(addresses[3], "", "a stream\n"),
			probeSMTP(addresses[4]),
		)
	}
	return server(at, syscall.SIGQUIT, probe, addresses[0], "-p", at.dir, "-e", at.dir+"/error.log", "-c", at.dir+"/nginx.conf")
}}

// probeSMTP tries to log in, in three ways; nobody may.
func probeSMTP(address string) error {
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) + "\r\n" }
	const hello = "EHLO client\r\n"
	return errors.Join(
		request(address, hello+"AUTH PLAIN "+encode("\x00user\x00password"), "\r\n535 "),
		request(address, hello+"AUTH LOGIN\r\n"+encode("user")+encode("password"), "\r\n535 "),
		request(address, hello+"AUTH CRAM-MD5\r\n"+encode("user 0123456789abcdef0123456789abcdef"), "\r\n535 "),
	)
}

func requestTLS(address, question, want string) error {
	connection, err := tls.Dial("tcp", address, &tls.Config{ServerName: "tls.example", InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	return exchange(connection, question, want)
}

// selfSigned returns a new certificate and its key, in PEM.
func selfSigned(name string) (certificate, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return "", "", err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	block := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", pkcs8), nil
}
