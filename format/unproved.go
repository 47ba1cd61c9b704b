// SPDX-License-Identifier: GPL-2.0-or-later

package format

// FeatureUnproved is the critical feature of a bundle for an image that its
// original objects could not be proved against: a reader must tell whoever
// applies it.
const FeatureUnproved = "unproved"
