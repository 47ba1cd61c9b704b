// SPDX-License-Identifier: GPL-2.0-or-later

package format

// For the vectors, which are made of parts that no writer puts together.
var (
	Assemble         = assemble
	AppendSignatures = appendSignatures
	Pack             = pack
	Digest           = digest
	SignText         = sign
)

const HeaderSize = headerSize
