// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// openCorpus returns the folder with QEMU's fixes: under dir, or unpacked from the
// archive that is there.
func openCorpus(dir, scratch string) (string, error) {
	for _, below := range []string{"pairs/plain/qemu", "plain/qemu", "."} {
		if found, err := filepath.Glob(filepath.Join(dir, below, "*", "target", imageName)); err == nil && len(found) > 0 {
			return filepath.Join(dir, below), nil
		}
	}
	archive := filepath.Join(dir, "qemu-plain.tar.zst")
	if _, err := os.Stat(archive); err != nil {
		return "", fmt.Errorf("neither fixes of QEMU nor their archive: %w", err)
	}
	out, err := exec.Command("tar", "--use-compress-program=zstd -d --long=27", "-xf", archive, "-C", scratch).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", archive, err, out)
	}
	return filepath.Join(scratch, "plain", "qemu"), nil
}
