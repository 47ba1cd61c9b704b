// SPDX-License-Identifier: GPL-2.0-or-later

package keys

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/format/hint"
)

// PasswordFile names the environment variable with the path of a file whose
// first line is the password; /dev/fd/N reads a file descriptor. There is no
// way to give it on a command line, which others can see.
const PasswordFile = "ULPATCH_PASSWORD_FILE"

// maxPassword bounds a password, in bytes.
const maxPassword = 1024

// Password reads the password of an existing key: from the file that the
// environment names, else from the terminal.
func Password() (string, error) { return readPassword(false) }

// NewPassword is Password for a new key: the terminal asks twice, and it is not
// empty.
func NewPassword() (string, error) { return readPassword(true) }

func readPassword(fresh bool) (string, error) {
	word, err := askPassword(fresh)
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	if fresh && word == "" {
		return "", errors.New("password: empty")
	}
	return word, nil
}

func askPassword(fresh bool) (string, error) {
	if path := os.Getenv(PasswordFile); path != "" {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		return firstLine(f)
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", hint.With(errors.New("no terminal to ask on"), "set "+PasswordFile+" to a file that holds it")
	}
	defer tty.Close()
	word, err := ask(tty, "password: ")
	if err != nil || !fresh {
		return word, err
	}
	again, err := ask(tty, "password, once more: ")
	if err == nil && again != word {
		err = errors.New("the two differ")
	}
	return word, err
}

func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxPassword+1)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if len(line) > maxPassword {
		return "", fmt.Errorf("more than %d bytes", maxPassword)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// ask reads a line from a terminal that does not show it. A signal puts the
// terminal back before it takes effect.
func ask(tty *os.File, prompt string) (string, error) {
	fd := int(tty.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", err
	}
	silent := *before
	silent.Lflag &^= unix.ECHO
	restore := func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }
	signals := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer func() {
		signal.Stop(signals)
		close(done)
		restore()
	}()
	go func() {
		select {
		case s := <-signals:
			restore()
			signal.Reset(s)
			_ = unix.Kill(unix.Getpid(), s.(unix.Signal))
		case <-done:
		}
	}()
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		return "", err
	}
	fmt.Fprint(tty, prompt)
	word, err := firstLine(tty)
	fmt.Fprintln(tty)
	return word, err
}
