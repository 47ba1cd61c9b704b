// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import (
	"debug/elf"
	"io"
)

func openELF(r io.ReaderAt) (*elf.File, error) { return elf.NewFile(r) }
