// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// redisClient asks commands, each on a connection of its own.
type redisClient struct {
	address string
	err     error // the first
}

// redisBug makes a check of a function that says whether the bug is there.
func redisBug(bug func(*redisClient) bool) func(*instance) (string, error) {
	return func(server *instance) (string, error) {
		client := &redisClient{address: server.address}
		answer := verdict(bug(client))
		return answer, client.err
	}
}

// do returns the beginning of the answer to a command.
func (c *redisClient) do(words ...string) string {
	if c.err != nil {
		return ""
	}
	answer, err := c.try(words)
	if err != nil {
		c.err = fmt.Errorf("%.60q: %w", words, err)
	}
	return answer
}

func (c *redisClient) try(words []string) (string, error) {
	connection, err := net.DialTimeout("tcp", c.address, seconds(5))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(seconds(15))); err != nil {
		return "", err
	}
	var request strings.Builder
	fmt.Fprintf(&request, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := connection.Write([]byte(request.String())); err != nil {
		return "", err
	}
	buffer := make([]byte, 8192)
	n, err := connection.Read(buffer)
	return string(buffer[:n]), err
}

// nestedPattern (CVE-2024-31228): a pattern may nest a thousand deep, no deeper.
func nestedPattern(c *redisClient) bool {
	const deep = 1500
	key := strings.Repeat("a", deep)
	c.do("SET", key, "1")
	found := c.do("KEYS", strings.Repeat("*?", deep))
	c.do("DEL", key)
	return strings.HasPrefix(found, "*1\r\n")
}

// selectorWithoutPattern (CVE-2024-51741): who describes such a user fails an
// assertion, so nobody is asked to.
func selectorWithoutPattern(c *redisClient) bool {
	answer := c.do("ACL", "SETUSER", "nobody", "%")
	c.do("ACL", "DELUSER", "nobody")
	return strings.HasPrefix(answer, "+OK")
}

// writableMetatable (CVE-2025-46818): the fix takes effect where the Lua state is
// made anew.
func writableMetatable(c *redisClient) bool {
	c.do("SCRIPT", "FLUSH")
	answer := c.do("EVAL", "getmetatable('').__index = function() return 'taken' end; return ('x').foo", "0")
	c.do("SCRIPT", "FLUSH")
	return !strings.HasPrefix(answer, "-")
}

// replyInReply (CVE-2025-67733): line ends in an error's text began a reply.
func replyInReply(c *redisClient) bool {
	return strings.Contains(c.do("FUNCTION", "LIST", "x\r\n+REPLY"), "\r\n+REPLY")
}
