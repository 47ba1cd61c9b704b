// SPDX-License-Identifier: GPL-2.0-or-later

package vm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
)

// The console is all that leads out of a machine, and the kernel writes to it as
// well. So init says where the program's output begins and ends, in lines that
// carry a word of this boot alone, and at the end the exit status, how much it was
// and the digest of both. What has been lost on the way or mixed with something
// else is found out.

// JobFile is where init finds its Job, as JSON.
const JobFile = "/job.json"

// Job is what init has to run.
type Job struct {
	Word string   // unlike anything in the output
	Args []string // the program's path and its arguments
	Env  []string // KEY=VALUE, beside PATH, HOME and TMPDIR
	Dir  string   // working directory
}

// ErrConsole: what came over the console is not all that the program has written,
// or it is not that alone.
var ErrConsole = errors.New("garbled console")

// Sender is init's end of the console.
type Sender struct {
	out  io.Writer
	word string
	sum  hash.Hash
	n    int64
}

// NewSender says that the program's output begins.
func NewSender(out io.Writer, word string) (*Sender, error) {
	s := &Sender{out: out, word: word, sum: sha256.New()}
	_, err := fmt.Fprintf(out, "\n%s begin\n", word)
	return s, err
}

// Write sends what the program has written.
func (s *Sender) Write(p []byte) (int, error) {
	s.sum.Write(p)
	s.n += int64(len(p))
	return s.out.Write(p)
}

// End says how the program has ended.
func (s *Sender) End(status int) error {
	_, err := fmt.Fprintf(s.out, "\n%s end status=%d bytes=%d sha256=%s\n", s.word, status, s.n, digest(s.sum, status))
	return err
}

// digest ends the sum of the output with the status.
func digest(output hash.Hash, status int) string {
	fmt.Fprintf(output, "status=%d", status)
	return fmt.Sprintf("%x", output.Sum(nil))
}

// Receiver is the host's end: an io.Writer for all that comes over the console.
type Receiver struct {
	out  io.Writer // for the program's output, as it comes
	rest io.Writer // for what else there is
	word string

	line    []byte // not ended yet
	begun   bool
	ended   bool
	pending bool // a line feed that the end's line may have brought
	sum     hash.Hash
	n       int64
	status  int
	bytes   int64
	digest  string
}

// NewReceiver passes the program's output to out and what else comes over the
// console, such as the kernel's words, to rest.
func NewReceiver(out, rest io.Writer, word string) *Receiver {
	return &Receiver{out: out, rest: rest, word: word, sum: sha256.New()}
}

func (r *Receiver) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			r.line = append(r.line, p...)
			break
		}
		r.line = append(r.line, p[:i]...)
		p = p[i+1:]
		if err := r.whole(r.line); err != nil {
			return n - len(p), err
		}
		r.line = r.line[:0]
	}
	return n, nil
}

// whole takes a line without its line feed.
func (r *Receiver) whole(line []byte) error {
	mark, ours := bytes.CutPrefix(line, []byte(r.word+" "))
	switch {
	case !r.begun && ours && string(mark) == "begin":
		r.begun = true
		return nil
	case r.begun && !r.ended && ours:
		if _, err := fmt.Sscanf(string(mark), "end status=%d bytes=%d sha256=%s", &r.status, &r.bytes, &r.digest); err == nil {
			r.ended = true
			return nil
		}
	case !r.begun || r.ended:
		_, err := fmt.Fprintf(r.rest, "%s\n", bytes.TrimRight(line, "\r"))
		return err
	}
	if err := r.text(r.feed()); err != nil {
		return err
	}
	r.pending = true
	return r.text(line)
}

// feed is the line feed that the last line has ended with. It is counted when
// another line of the program follows, for the end's line begins with one.
func (r *Receiver) feed() []byte {
	if r.pending {
		return []byte{'\n'}
	}
	return nil
}

func (r *Receiver) text(p []byte) error {
	r.sum.Write(p)
	r.n += int64(len(p))
	_, err := r.out.Write(p)
	return err
}

// Status is the program's exit status, once all has come; an error if that is not
// so.
func (r *Receiver) Status() (int, error) {
	switch {
	case !r.begun:
		return 0, fmt.Errorf("%w: the program was never started", ErrConsole)
	case !r.ended:
		return 0, fmt.Errorf("%w: the machine ended before the program did", ErrConsole)
	case r.n != r.bytes || digest(r.sum, r.status) != r.digest:
		return 0, fmt.Errorf("%w: the program wrote %d bytes, %d came, or others", ErrConsole, r.bytes, r.n)
	}
	return r.status, nil
}
