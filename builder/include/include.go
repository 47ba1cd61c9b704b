// SPDX-License-Identifier: GPL-2.0-or-later

// Package include holds the C header for authors of patches. It knows nothing of
// how objects are read; package builder does.
package include

import _ "embed"

// Name is the header's file name.
const Name = "ulpatch.h"

// Header is the text of the header: hooks and shadow variables, as
// specs/hooks.md describes them.
//
//go:embed ulpatch.h
var Header []byte
