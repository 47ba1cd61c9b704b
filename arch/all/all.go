// SPDX-License-Identifier: GPL-2.0-or-later

// Package all lists the ports. It is the only place that knows them all.
package all
