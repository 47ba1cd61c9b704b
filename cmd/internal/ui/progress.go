// SPDX-License-Identifier: GPL-2.0-or-later

package ui

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long nothing is shown: what is done by then needs no words.
const patience = time.Second

// Progress shows what goes on, on one line that is written again and again.
// It is silent where w is no terminal, and for the first second.
type Progress struct {
	mu      sync.Mutex
	w       io.Writer
	program string
	since   time.Time
	shown   bool
}

// NewProgress starts the clock.
func NewProgress(w io.Writer, program string) *Progress {
	p := &Progress{program: program, since: time.Now()}
	if IsTerminal(w) {
		p.w = w
	}
	return p
}

// Set says what goes on now.
func (p *Progress) Set(text string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w == nil || time.Since(p.since) < patience {
		return
	}
	p.shown = true
	fmt.Fprintf(p.w, "\r\x1b[K%s: %s", p.program, Printable(fmt.Sprintf(text, args...)))
}

// Close takes the line away, so that results and errors stand alone.
func (p *Progress) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	p.w, p.shown = nil, false
}

// IsTerminal tells whether w is one.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
