// SPDX-License-Identifier: GPL-2.0-or-later

package main

import "time"

// patience is how many times slower the machine may be than one that is not
// emulated. It is set once, at the start.
var patience = 1

// seconds is a limit for what should take much less.
func seconds(n int) time.Duration { return time.Duration(n*patience) * time.Second }
