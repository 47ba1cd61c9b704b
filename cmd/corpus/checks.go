// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// check tells whether a running image still has its bug, and harms nobody.
type check struct {
	pkg, cve string // cve may be part of a longer name
	image    string // file name of the image that is asked
	ask      func(*instance) (string, error)
}

var checks = []check{
	{"redis", "CVE-2024-31228", "redis-server", redisBug(nestedPattern)},
	{"redis", "CVE-2024-51741", "redis-server", redisBug(selectorWithoutPattern)},
	{"redis", "CVE-2025-46818", "redis-server", redisBug(writableMetatable)},
	{"redis", "CVE-2025-67733", "redis-server", redisBug(replyInReply)},
	{"dnsmasq", "CVE-2026-4893", "dnsmasq", forgedSubnet},
	{"mosquitto", "CVE-2023-0809", "mosquitto", hugeFirstPacket},
	{"cjson", "CVE-2023-26819", "libcjson.so.1.7.15", askHost("CVE-2023-26819")},
	{"cjson", "CVE-2025-57052", "libcjson_utils.so.1.7.15", askHost("CVE-2025-57052")},
	{"tiff", "CVE-2023-52356", "libtiff.so.6.0.0", askHost("CVE-2023-52356")},
}

// The two answers of a check.
const (
	vulnerable = "VULN"
	fixed      = "FIXED"
)

// ask makes a check once and returns its answer.
type ask func() (string, error)

// checkFor returns the check of a case, or nil where there is none.
func checkFor(c testCase, instances []*instance) ask {
	for _, k := range checks {
		if k.pkg != c.pkg || !strings.Contains(c.cve, k.cve) {
			continue
		}
		i := slices.IndexFunc(instances, func(one *instance) bool { return one.image == k.image })
		if i >= 0 {
			return func() (string, error) { return k.ask(instances[i]) }
		}
	}
	return nil
}

func verdict(bug bool) string {
	if bug {
		return vulnerable
	}
	return fixed
}

// askHost asks the host program of a library, which knows its bugs by name.
func askHost(bug string) func(*instance) (string, error) {
	return func(host *instance) (string, error) {
		answer, err := host.ask(bug)
		if err == nil && answer != vulnerable && answer != fixed {
			err = fmt.Errorf("%s: %q is no verdict", bug, answer)
		}
		return answer, err
	}
}

// hugeFirstPacket: a client whose first packet is not CONNECT has to be cut off
// before it can make the broker wait for 256 MiB.
func hugeFirstPacket(broker *instance) (string, error) {
	connection, err := net.DialTimeout("tcp", broker.address, seconds(5))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(seconds(2))); err != nil {
		return "", err
	}
	if _, err := io.WriteString(connection, "\x30\xff\xff\xff\x7f\x00\x01a"); err != nil {
		return "", err
	}
	_, err = connection.Read(make([]byte, 16))
	return verdict(errors.Is(err, os.ErrDeadlineExceeded)), nil
}
