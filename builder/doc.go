// SPDX-License-Identifier: GPL-2.0-or-later

// Package builder makes a patch out of original and fixed objects and the
// images that were linked from the original ones:
//
//	object -> atoms -> correlate -> compare -> closure -> policy -> bind and prove -> emit
//
// Each step is a pure function of files, so that the same input gives the same
// bytes on any host and for any target CPU. What the package knows of a CPU it
// asks of an arch.Arch; it sees no process and knows nothing of how or where a
// payload is loaded.
//
// # Why Quiet stays empty
//
// Optimisers couple the functions of one unit. With -fipa-ra, for example, a
// caller may keep a value in a caller-saved register over a call to a local
// function that is known to leave it alone. If the fixed callee clobbers more,
// its callers were compiled against that knowledge in the fixed object: either
// their code differs, then they are changed functions and are replaced in the
// same commit, or it is equal, then it is right with both callees at every call
// site. A caller that is not replaced is therefore compatible with the new
// callee at any time, on a stack or not, and only frames of changed functions
// matter; the applier demands of those anyway that they are off every stack.
// The argument needs that both objects come from the same compiler with the
// same flags, which the proof of the original object against the image and the
// comparison of all that did not change support. TestCoupledCallers shows it.
package builder
