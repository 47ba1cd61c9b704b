# SPDX-License-Identifier: GPL-2.0-or-later

# Debug information tells that what differs is the line.
cflags=(-g)
