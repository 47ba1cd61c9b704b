// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/cmd/qemu/talk"
)

// answer answers questions until there are no more.
func answer(l *load) error {
	line, err := os.OpenFile(control, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer line.Close()
	if err := raw(line); err != nil {
		return fmt.Errorf("%s: %w", control, err)
	}
	questions := bufio.NewScanner(line)
	answers := json.NewEncoder(line)
	for questions.Scan() {
		words := strings.Fields(questions.Text())
		if len(words) == 0 {
			continue
		}
		a, err := reply(l, words)
		if err != nil {
			a.Error = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
	return questions.Err()
}

// raw lets a serial line pass every byte as it is.
func raw(line *os.File) error {
	t, err := unix.IoctlGetTermios(int(line.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = t.Cflag&^unix.CSIZE | unix.CS8 | unix.CREAD | unix.CLOCAL
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(int(line.Fd()), unix.TCSETS, t)
}

func reply(l *load, words []string) (a talk.Answer, err error) {
	switch {
	case words[0] == talk.Mark:
		a.Counters = l.mark()
	case words[0] == talk.Verify:
		for _, d := range l.disks {
			done := make(chan error)
			d.verify <- done
			if err := <-done; err != nil {
				l.wrong(err)
			}
		}
		a.Counters = l.all()
	case words[0] == talk.Features && len(words) == 2:
		a.Bits, err = features(words[1])
	case words[0] == talk.Speak && len(words) == 3:
		err = speak(words[1], words[2])
	default:
		err = errors.New("what?")
	}
	return a, err
}
