// SPDX-License-Identifier: GPL-2.0-or-later

package ui

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/ulpatch/ulpatch/format"
)

func TestCodeOf(t *testing.T) {
	plain := errors.New("x")
	for _, c := range []struct {
		err  error
		want Code
	}{
		{nil, Done},
		{plain, Failed},
		{fmt.Errorf("a: %w", format.ErrSignature), Refused},
		{fmt.Errorf("a: %w", Usagef("b")), Usage},
		{Exit(Unknown, fmt.Errorf("a: %w", format.ErrSignature)), Unknown},
		{Exit(NoMatch, Exit(Refused, plain)), NoMatch},
		{Exit(Refused, nil), Done},
	} {
		if got := CodeOf(c.err); got != c.want {
			t.Errorf("%v: %d, expected %d", c.err, got, c.want)
		}
	}
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	Report(&out, "prog", fmt.Errorf("a: %w", errors.Join(Hint(errors.New("b\x1b[31m"), "try c"), errors.New("d"))))
	want := "prog: error: a: b\ufffd[31m\nprog:        d\nprog: hint: try c\n"
	if out.String() != want {
		t.Errorf("%q, expected %q", out.String(), want)
	}
}

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	log := Logger(&out, "prog", false)
	log.Info("not shown")
	log.With("unit", "a.o").WithGroup("g").Warn("odd", "n", 3, "text", "two words")
	if want := "prog: warning: odd unit=a.o g.n=3 g.text=\"two words\"\n"; out.String() != want {
		t.Errorf("%q, expected %q", out.String(), want)
	}
	out.Reset()
	Logger(&out, "prog", true).Info("shown")
	if want := "prog: note: shown\n"; out.String() != want {
		t.Errorf("%q, expected %q", out.String(), want)
	}
}

// run runs a program with one command and returns what it was given.
func run(args ...string) (code Code, stdout, stderr string, got []string, name string, verbose bool) {
	var out, errs bytes.Buffer
	app := NewApp("prog", "test", "1.0", "abc", &cli.Command{
		Name: "do", Flags: []cli.Flag{&cli.StringFlag{Name: "name", Aliases: []string{"n"}}, &cli.BoolFlag{Name: "verbose"}},
		Action: func(c *cli.Context) error {
			var err error
			if name, err = Required(c, "name"); err != nil {
				return err
			}
			verbose = c.Bool("verbose")
			got, err = Args(c, "ONE", "TWO")
			fmt.Fprintln(c.App.Writer, "result")
			return err
		},
	})
	app.Writer, app.ErrWriter = &out, &errs
	code = Run(app, append([]string{"prog"}, args...))
	return code, out.String(), errs.String(), got, name, verbose
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		args    string
		want    []string
		verbose bool
	}{
		{"do --name x 1 2", []string{"1", "2"}, false},
		{"do 1 --verbose 2 -n x", []string{"1", "2"}, true},
		{"do 1 2 --name=x --verbose", []string{"1", "2"}, true},
		{"do --name x -- --verbose -", []string{"--verbose", "-"}, false},
		{"do 1 --name x -- -2", []string{"1", "-2"}, false},
	} {
		code, _, stderr, got, name, verbose := run(strings.Fields(c.args)...)
		if code != Done || name != "x" || !reflect.DeepEqual(got, c.want) || verbose != c.verbose {
			t.Errorf("%s: code %d, name %q, arguments %q, verbose %v: %s", c.args, code, name, got, verbose, stderr)
		}
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                        "prog: error: no command\nprog: hint: see prog --help\n",
		"undo":                    "prog: error: unknown command \"undo\"\nprog: hint: see prog --help\n",
		"--fast":                  "prog: error: unknown flag -fast\nprog: hint: see prog --help\n",
		"do --fast":               "prog: error: unknown flag -fast\nprog: hint: see prog do --help\n",
		"do --name":               "prog: error: flag needs an argument: -name\nprog: hint: see prog do --help\n",
		"do 1 2":                  "prog: error: --name is missing\nprog: hint: see prog do --help\n",
		"do --name x 1":           "prog: error: TWO is missing\nprog: hint: see prog do --help\n",
		"do --name x 1 2 3":       "prog: error: unexpected argument \"3\"\nprog: hint: see prog do --help\n",
		"do --verbose=x -n x 1 2": "prog: error: invalid boolean value \"x\" for -verbose: parse error\nprog: hint: see prog do --help\n",
	} {
		code, _, stderr, _, _, _ := run(strings.Fields(args)...)
		if code != Usage || stderr != want {
			t.Errorf("%q: code %d, %q", args, code, stderr)
		}
	}
	for _, args := range []string{"--help", "--version", "do --help"} {
		if code, stdout, stderr, _, _, _ := run(strings.Fields(args)...); code != Done || stdout == "" || stderr != "" {
			t.Errorf("%q: code %d, %q, %q", args, code, stdout, stderr)
		}
	}
	if _, stdout, _, _, _, _ := run("--version"); stdout != "prog 1.0 (commit abc)\n" {
		t.Errorf("%q", stdout)
	}
}

func TestResultsCutShort(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	var errs bytes.Buffer
	app := NewApp("prog", "test", "1", "c")
	app.Action = func(c *cli.Context) error { return JSON(c.App.Writer, 1) }
	app.Writer, app.ErrWriter = full, &errs
	if code := Run(app, []string{"prog"}); code != Failed || !strings.Contains(errs.String(), "no space left") {
		t.Errorf("code %d: %s", code, errs.String())
	}
}

// listed is what a directory has, hidden files too.
func listed(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	for _, text := range []string{"one", "two"} {
		if err := WriteFile(path, []byte(text), 0o640); err != nil || content(t, path) != text {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("out", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "link"), []byte("three"), 0o640); err != nil || content(t, path) != "three" {
		t.Errorf("through a link: %v, %q", err, content(t, path))
	}
	if err := CreateFile(path, nil, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created over a file: %v", err)
	}
	if err := CreateFile(filepath.Join(dir, "secret"), []byte("s"), 0o600); err != nil {
		t.Error(err)
	}
	if info, _ := os.Stat(filepath.Join(dir, "secret")); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := WriteFile("/dev/null", nil, 0o600); err == nil {
		t.Error("a device was replaced")
	}
	if err := WriteFile(filepath.Join(dir, "no", "x"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), ".tmp") {
		t.Errorf("%v", err)
	}
	if err := CreateDir(filepath.Join(dir, "d"), map[string][]byte{"a": []byte("1"), "b": nil}, 0o644); err != nil || content(t, filepath.Join(dir, "d", "a")) != "1" {
		t.Error(err)
	}
	if err := CreateDir(filepath.Join(dir, "d")+"/", nil, 0o644); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created over a directory: %v", err)
	}
	if want := []string{"d", "link", "out", "secret"}; !reflect.DeepEqual(listed(t, dir), want) {
		t.Errorf("left behind: %q", listed(t, dir))
	}
}

// Writing fails at once beyond the limit on the size of files, as on a full
// disk; nothing is left and the old content stays.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	if err := WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 4096, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	big := make([]byte, 10000)
	errs := []error{
		WriteFile(path, big, 0o644),
		CreateFile(filepath.Join(dir, "new"), big, 0o644),
		CreateDir(filepath.Join(dir, "d"), map[string][]byte{"a": nil, "b": big}, 0o644),
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	for i, err := range errs {
		if !errors.Is(err, unix.EFBIG) || strings.Contains(err.Error(), ".tmp") {
			t.Errorf("write %d: %v", i, err)
		}
	}
	if got := listed(t, dir); !reflect.DeepEqual(got, []string{"out"}) || content(t, path) != "old" {
		t.Errorf("left behind: %q", got)
	}
}

func TestProgressIsSilent(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out, "prog")
	p.since = p.since.Add(-2 * patience)
	p.Set("working")
	p.Close()
	if out.Len() > 0 {
		t.Errorf("%q on what is no terminal", out.String())
	}
}

// A terminal is told after a second, and the line is taken away.
func TestProgress(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	p := NewProgress(tty, "prog")
	p.Set("too early")
	p.since = p.since.Add(-2 * patience)
	p.Set("step %d", 2)
	p.Close()
	p.Set("too late")
	fmt.Fprint(tty, "$") // nothing else stands before it
	want := "\r\x1b[Kprog: step 2\r\x1b[K$"
	buf := make([]byte, len(want))
	if _, err := io.ReadFull(master, buf); err != nil || string(buf) != want {
		t.Errorf("%q, expected %q (%v)", buf, want, err)
	}
}

func TestMain(m *testing.M) {
	// SIGXFSZ would end the process; with it ignored the write fails.
	signal.Ignore(unix.SIGXFSZ)
	if dir := os.Getenv(signalledDir); dir != "" {
		writeAndDie(dir)
	}
	os.Exit(m.Run())
}

const signalledDir = "ULPATCH_TEST_SIGNALLED_DIR"

// writeAndDie is what a process does that is told to end while it writes.
func writeAndDie(dir string) {
	RemoveOnSignal()
	err := viaTemp("out", filepath.Join(dir, "out"), []byte("half"), 0o600, func(string) error {
		if err := unix.Kill(unix.Getpid(), unix.SIGTERM); err != nil {
			return err
		}
		select {}
	})
	fmt.Println("it lives on:", err)
	os.Exit(1)
}

// A signal ends the program as it would any other, and nothing is left behind.
func TestSignal(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), signalledDir+"="+dir)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGTERM {
		t.Errorf("%v: %s", err, out)
	}
	if got := listed(t, dir); len(got) > 0 {
		t.Errorf("left behind: %q", got)
	}
}

func TestOpenInput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := OpenInput(path, 3) // the limit is for what is spooled
	if err != nil || in.Size != 7 {
		t.Fatalf("%v, %v", in, err)
	}
	in.Close()
	if _, err := OpenInput("/dev/null", 3); err == nil || err.Error() != "/dev/null: not a regular file" {
		t.Errorf("a device: %v", err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	in, err = spool(strings.NewReader("content"), 7)
	if err != nil || in.Size != 7 {
		t.Fatalf("%v, %v", in, err)
	}
	defer in.Close()
	got := make([]byte, 4)
	if _, err := in.ReadAt(got, 3); err != nil || string(got) != "tent" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := spool(strings.NewReader("contents"), 7); err == nil || err.Error() != "standard input: more than 7 bytes" {
		t.Errorf("too much: %v", err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	if _, err := spool(strings.NewReader(""), 7); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestWriteOutput(t *testing.T) {
	var out bytes.Buffer
	if err := WriteOutput(&results{w: &out}, "-", []byte("bytes")); err != nil || out.String() != "bytes" {
		t.Errorf("%q, %v", out.String(), err)
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := WriteOutput(&out, path, []byte("file")); err != nil || content(t, path) != "file" {
		t.Error(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if err := WriteOutput(full, "-", []byte("x")); err == nil {
		t.Error("a full disk")
	}
}

func TestRequired(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "--many is missing"}, {[]string{"--many", ""}, "--many is missing"}, {[]string{"--many", "x", "--many", "y"}, "x"},
	} {
		var got string
		command := &cli.Command{Name: "c", Flags: []cli.Flag{&cli.StringSliceFlag{Name: "many"}}, Action: func(c *cli.Context) error {
			v, err := Required(c, "many")
			got = v
			if err != nil {
				got = err.Error()
			}
			return nil
		}}
		app := NewApp("p", "u", "v", "c", command)
		app.Writer, app.ErrWriter = &bytes.Buffer{}, &bytes.Buffer{}
		if code := Run(app, append([]string{"p", "c"}, c.args...)); code != Done || got != c.want {
			t.Errorf("%q: %q, code %d", c.args, got, code)
		}
	}
}
