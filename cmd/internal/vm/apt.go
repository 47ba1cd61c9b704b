// SPDX-License-Identifier: GPL-2.0-or-later

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// apt reaches a suite and an architecture of Debian that need not be the
// machine's. It has a state of its own in a folder, and else the machine's
// settings; nothing is installed.
type apt struct {
	dir string
	log io.Writer
}

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// newApt sets up a state in dir, which is to be removed after use.
func newApt(ctx context.Context, dir, suite, arch string, log io.Writer) (*apt, error) {
	a := &apt{dir: dir, log: log}
	for _, sub := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(keyring); err != nil {
		return nil, fmt.Errorf("%w: install debian-archive-keyring, packages of %s are fetched", err, suite)
	}
	mirror, err := machineMirror(ctx)
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"status":       "",
		"sources.list": fmt.Sprintf("deb [arch=%s signed-by=%s] %s %s main\n", arch, keyring, mirror, suite),
		"apt.conf": fmt.Sprintf(`APT::Architecture "%[2]s";
APT::Architectures { "%[2]s"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Debug::NoLocking "true";
Dir::Cache "%[1]s";
Dir::Cache::archives "%[1]s/archives";
Dir::Etc::sourcelist "%[1]s/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "%[1]s/lists";
Dir::State::status "%[1]s/status";
`, dir, arch),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	fmt.Fprintf(log, "vm: fetching the list of packages of %s for %s\n", suite, arch)
	_, err = a.run(ctx, "apt-get", "-qq", "update")
	return a, err
}

// machineMirror is where the machine has its own packages from.
func machineMirror(ctx context.Context) (string, error) {
	out, err := command(ctx, nil, "apt-get", "update", "--print-uris")
	if err != nil {
		return "", fmt.Errorf("the machine's package sources: %w", err)
	}
	if mirror, ok := mirrorOf(string(out)); ok {
		return mirror, nil
	}
	return "", errors.New("the machine's apt settings name no Debian mirror, from which kernels could be fetched")
}

// mirrorOf finds the archive itself, not that of its security updates, which has
// no kernels of other suites.
func mirrorOf(uris string) (string, bool) {
	for line := range strings.Lines(uris) {
		uri, _, _ := strings.Cut(strings.TrimPrefix(line, "'"), "'")
		mirror, rest, ok := strings.Cut(uri, "/dists/")
		suite, file, _ := strings.Cut(rest, "/")
		if ok && file == "InRelease" && !strings.Contains(suite, "-") {
			return mirror, true
		}
	}
	return "", false
}

func (a *apt) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	return command(ctx, []string{"APT_CONFIG=" + filepath.Join(a.dir, "apt.conf")}, name, args...)
}

// download fetches packages, with all that they depend on if closure is set, and
// unpacks them in a folder.
func (a *apt) download(ctx context.Context, to string, closure bool, packages ...string) error {
	fmt.Fprintf(a.log, "vm: fetching %s\n", strings.Join(packages, ", "))
	archives := filepath.Join(a.dir, "archives")
	if closure {
		if _, err := a.run(ctx, "apt-get", append([]string{"-qq", "-y", "--download-only", "install"}, packages...)...); err != nil {
			return err
		}
	} else {
		for _, p := range packages {
			if err := a.one(ctx, archives, p); err != nil {
				return err
			}
		}
	}
	found, err := filepath.Glob(filepath.Join(archives, "*.deb"))
	if err != nil || len(found) == 0 {
		return fmt.Errorf("%s: nothing was fetched", strings.Join(packages, ", "))
	}
	for _, f := range found {
		if _, err := command(ctx, nil, "dpkg-deb", "-x", f, to); err != nil {
			return err
		}
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	return nil
}

// one fetches a package into a folder. apt-get download knows no other folder than
// the working directory.
func (a *apt) one(ctx context.Context, folder, name string) error {
	cmd := exec.CommandContext(ctx, "apt-get", "-qq", "download", name)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(a.dir, "apt.conf"))
	return explained(cmd.Run(), cmd.Args, nil)
}

// newest returns the package with the given prefix that a package depends on.
func (a *apt) newest(ctx context.Context, meta, prefix string) (string, error) {
	out, err := a.run(ctx, "apt-cache", "depends", meta)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "+prefix); ok {
			return prefix + name, nil
		}
	}
	return "", fmt.Errorf("%s depends on no %s*", meta, prefix)
}

func command(ctx context.Context, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	return out, explained(err, cmd.Args, stderr.Bytes())
}

func explained(err error, args []string, stderr []byte) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(stderr))
}
