// SPDX-License-Identifier: GPL-2.0-or-later

package trust

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/ulpatch/ulpatch/format"
)

// document is a TOML text that was read.
type document struct {
	name  string
	lines map[string]int // of each key, as in "keys.ci.ids" and "bundle[2].id"
}

// typeError is how the library begins an error that is none in syntax.
var typeError = regexp.MustCompile(`^toml: line (\d+)[^:]*: `)

// decode reads a text of at most max bytes into v. Keys have to be in allowed,
// where * is any name, spelled as there.
func decode(name string, data []byte, max int, allowed []string, v any) (*document, error) {
	if len(data) > max {
		return nil, fmt.Errorf("%s: %d bytes, more than %d", name, len(data), max)
	}
	if err := checkShape(name, string(data)); err != nil {
		return nil, err
	}
	meta, err := toml.Decode(string(data), v)
	var parse toml.ParseError
	if errors.As(err, &parse) {
		return nil, fmt.Errorf("%s:%d: %s", name, parse.Position.Line, parse.Message)
	}
	if err != nil {
		return nil, fmt.Errorf("%s:%s", name, typeError.ReplaceAllString(err.Error(), "$1: "))
	}
	d := &document{name, lines(string(data))}
	for _, key := range meta.Keys() {
		generic := slices.Clone(key)
		if len(generic) > 1 && generic[0] == "keys" {
			generic[1] = "*"
		}
		if !slices.Contains(allowed, strings.Join(generic, ".")) {
			return nil, d.errorf(strings.Join(key, "."), "unknown key %q", key.String())
		}
	}
	return d, nil
}

// The TOML library takes time and memory by the square of how deep keys and
// inline tables are nested.
const (
	maxLine   = 1024 // bytes
	maxInline = 256  // inline tables
)

func checkShape(name, text string) error {
	n := 0
	for line := range strings.Lines(text) {
		if n++; len(line) > maxLine {
			return fmt.Errorf("%s:%d: a line of %d bytes, more than %d", name, n, len(line), maxLine)
		}
	}
	if inline := strings.Count(text, "{"); inline > maxInline {
		return fmt.Errorf("%s: %d inline tables, more than %d", name, inline, maxInline)
	}
	return nil
}

// errorf is an error in the line of a key, or of the nearest that encloses it.
func (d *document) errorf(key, text string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", d.name, d.line(key), fmt.Errorf(text, args...))
}

func (d *document) line(key string) int {
	for key != "" {
		if n, ok := d.lines[key]; ok {
			return n
		}
		key = key[:max(strings.LastIndexByte(key, '.'), 0)]
	}
	return 1
}

var (
	part    = `(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')`
	dotted  = part + `(?:\s*\.\s*` + part + `)*`
	tableAt = regexp.MustCompile(`^\s*\[\s*(` + dotted + `)\s*\]`)
	arrayAt = regexp.MustCompile(`^\s*\[\[\s*(` + dotted + `)\s*\]\]`)
	keyAt   = regexp.MustCompile(`^\s*(` + dotted + `)\s*=`)
	parts   = regexp.MustCompile(part)
)

// lines finds the line of each key, for messages. Keys of an array of tables
// are found with their number, and without it for the first of them.
func lines(text string) map[string]int {
	found := map[string]int{}
	note := func(key string, line int) {
		if _, ok := found[key]; !ok {
			found[key] = line
		}
	}
	count := map[string]int{}
	table, numbered := "", ""
	n := 0
	for line := range strings.Lines(text) {
		n++
		if m := arrayAt.FindStringSubmatch(line); m != nil {
			table = plain(m[1]) + "."
			numbered = fmt.Sprintf("%s[%d].", plain(m[1]), count[table])
			count[table]++
		} else if m := tableAt.FindStringSubmatch(line); m != nil {
			table = plain(m[1]) + "."
			numbered = table
		} else if m := keyAt.FindStringSubmatch(line); m != nil {
			note(table+plain(m[1]), n)
			note(numbered+plain(m[1]), n)
			continue
		} else {
			continue
		}
		note(strings.TrimSuffix(table, "."), n)
		note(strings.TrimSuffix(numbered, "."), n)
	}
	return found
}

// plain is a dotted key without quotes and blanks.
func plain(key string) string {
	var names []string
	for _, p := range parts.FindAllString(key, -1) {
		names = append(names, strings.Trim(p, `"'`))
	}
	return strings.Join(names, ".")
}

// instant is a TOML offset date-time.
type instant format.Time

// UnmarshalTOML refuses times without an offset: they are other instants on
// other hosts.
func (i *instant) UnmarshalTOML(v any) error {
	t, ok := v.(time.Time)
	if !ok || strings.HasSuffix(t.Location().String(), "-local") {
		return fmt.Errorf("%v is not a time of the form 2030-01-02T03:04:05Z", v)
	}
	if t.Nanosecond() != 0 {
		return fmt.Errorf("%v: has a fraction of a second", t)
	}
	s, err := format.TimeOf(t)
	*i = instant(s)
	return err
}
