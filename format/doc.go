// SPDX-License-Identifier: GPL-2.0-or-later

// Package format turns bytes into bundles and back: envelope, manifest,
// compressed payloads, signatures. It walks no ELF and sees no process.
package format
